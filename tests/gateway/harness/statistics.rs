//! Whether two sets of times differ: the Mann-Whitney U test, which asks nothing about their distribution.

/// The two-sided probability that two samples as different as these come from one distribution, by the normal
/// approximation with its correction for ties; sound from some twenty values a side.
#[expect(clippy::cast_precision_loss, reason = "a few hundred samples")]
pub fn mann_whitney(one: &[f64], other: &[f64]) -> f64 {
    let mut pooled: Vec<(f64, bool)> = one
        .iter()
        .map(|value| (*value, true))
        .chain(other.iter().map(|value| (*value, false)))
        .collect();
    pooled.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (n1, n2, n) = (one.len() as f64, other.len() as f64, pooled.len() as f64);
    let (mut rank_sum, mut ties) = (0.0, 0.0);
    for group in pooled.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let before = pooled.iter().take_while(|value| value.0 < group[0].0).count() as f64;
        let size = group.len() as f64;
        let rank = before + f64::midpoint(size, 1.0);
        rank_sum += rank * group.iter().filter(|value| value.1).count() as f64;
        ties += size.powi(3) - size;
    }
    let u = rank_sum - n1 * (n1 + 1.0) / 2.0;
    let mean = n1 * n2 / 2.0;
    let variance = n1 * n2 / 12.0 * (n + 1.0 - ties / (n * (n - 1.0)));
    let z = ((u - mean).abs() - 0.5).max(0.0) / variance.sqrt();
    erfc(z / std::f64::consts::SQRT_2)
}

/// The complementary error function (Abramowitz and Stegun 7.1.26), to within 1.5e-7.
fn erfc(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    poly * (-x * x).exp()
}

#[test]
fn samples_of_one_kind_are_alike_and_shifted_ones_are_not() {
    let noise = |seed: u64| -> Vec<f64> {
        let mut state = seed;
        (0..200)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                f64::from(u32::try_from(state >> 33).unwrap())
            })
            .collect()
    };
    let (one, other) = (noise(1), noise(2));
    assert!(mann_whitney(&one, &other) > 0.01);
    let scale = f64::from(u32::MAX / 2);
    let shifted: Vec<f64> = other.iter().map(|value| value + scale / 5.0).collect();
    assert!(mann_whitney(&one, &shifted) < 0.001);
}
