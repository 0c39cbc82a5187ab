//! Pictures of the pages for people to look at, and the little a program can say about them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::browser::Browser;

/// Takes a picture, keeps it under this name and fails when there is nothing on it.
pub async fn keep(browser: &Browser, name: &str, whole: bool) {
    let png = browser.picture(whole).await;
    fs::create_dir_all(directory()).unwrap();
    let file = directory().join(format!("{name}.png"));
    fs::write(&file, &png).unwrap();
    assert!(shows_something(&png), "{} is as good as blank", file.display());
}

/// `SEKISHO_SCREENSHOTS`, or `target/screenshots`.
fn directory() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it lies in the target directory");
    std::env::var_os("SEKISHO_SCREENSHOTS").map_or_else(|| target.join("screenshots"), PathBuf::from)
}

/// Letters have many shades, and no colour covers everything. A sample is enough to tell.
fn shows_something(png: &[u8]) -> bool {
    let picture = image::load_from_memory(png).unwrap().to_rgb8();
    let mut colours: HashMap<_, u32> = HashMap::new();
    let mut pixels: u32 = 0;
    for pixel in picture.pixels().step_by(7) {
        *colours.entry(pixel.0).or_default() += 1;
        pixels += 1;
    }
    let most = colours.values().max().copied().unwrap_or_default();
    colours.len() >= 16 && u64::from(most) * 1000 < u64::from(pixels) * 995
}

#[test]
fn an_empty_page_is_told_from_one_with_text() {
    use image::{ImageFormat, Rgb, RgbImage};

    let png = |picture: RgbImage| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    let empty = RgbImage::from_pixel(200, 100, Rgb([250, 249, 246]));
    let mut written = empty.clone();
    for (n, pixel) in written.pixels_mut().take(1000).enumerate() {
        *pixel = Rgb([u8::try_from(n % 250).unwrap(), 20, 30]);
    }
    assert!(!shows_something(&png(empty)));
    assert!(shows_something(&png(written)));
}
