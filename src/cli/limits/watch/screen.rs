//! The terminal while somebody looks on: a screen of its own, keys at once, and everything as it was at the end.

use std::io::{self, IsTerminal, Read, Write, stdin, stdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::execute;
use crossterm::queue;
use crossterm::style::{Print, ResetColor};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use tokio::signal::unix::{SignalKind, signal};
use unicode_width::UnicodeWidthChar;

use super::super::super::runtime;
use super::view::Room;

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// q, Q, Escape alone or control-C.
    Quit,
    /// Any other: look anew at once.
    Other,
}

/// What control-C is, in a terminal that makes no signal of it.
const CONTROL_C: u8 = 3;

/// The terminal, given back when this is dropped.
pub struct Screen {
    keys: Receiver<u8>,
    /// Whether somebody wants colours.
    coloured: bool,
    /// As it was when something was last shown.
    size: (u16, u16),
}

impl Screen {
    /// Takes the terminal.
    pub fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        let (sender, keys) = channel();
        let asked = sender.clone();
        std::thread::spawn(move || hear_signals(&asked));
        // It waits for a key for ever, and ends with the process.
        std::thread::spawn(move || {
            for byte in stdin().lock().bytes() {
                if byte.ok().and_then(|byte| sender.send(byte).ok()).is_none() {
                    return;
                }
            }
        });
        let screen = Self {
            keys,
            coloured: AutoStream::choice(&stdout()) != ColorChoice::Never,
            size: (0, 0),
        };
        execute!(stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Shows lines for so much room from the top; what finds none is left out.
    pub fn show(&mut self, lines: impl FnOnce(Room) -> Vec<String>) -> io::Result<()> {
        let (width, height) = size()?;
        let lines = lines(Room {
            width: width.into(),
            height: Some(height.into()),
        });
        // Colours are left out here: a stream that does so would leave out what moves the cursor as well.
        let mut out = stdout().lock();
        if std::mem::replace(&mut self.size, (width, height)) != (width, height) {
            queue!(out, Clear(ClearType::All))?;
        }
        for (row, line) in (0..height).zip(&lines) {
            let line = fit(line, width.into());
            let line = if self.coloured {
                line
            } else {
                strip_str(&line).to_string()
            };
            queue!(
                out,
                MoveTo(0, row),
                Print(line),
                ResetColor,
                Clear(ClearType::UntilNewLine)
            )?;
        }
        let end = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        if end < height {
            queue!(out, MoveTo(0, end), Clear(ClearType::FromCursorDown))?;
        }
        out.flush()
    }

    /// The next key, waited for at most so long. Without one, or when the terminal is gone, that time has passed.
    pub fn key(&self, limit: Duration) -> Option<Key> {
        let until = Instant::now() + limit;
        match self.keys.recv_timeout(limit) {
            Ok(byte) => Some(match byte {
                b'q' | b'Q' | CONTROL_C => Key::Quit,
                // Arrows and their like begin with an escape as well, and more follows at once.
                0x1b => match self.keys.recv_timeout(Duration::from_millis(30)) {
                    Ok(_) => {
                        while self.keys.try_recv().is_ok() {}
                        Key::Other
                    }
                    Err(_) => Key::Quit,
                },
                _ => Key::Other,
            }),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
                Some(Key::Quit)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(stdout(), Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

/// The columns of the terminal, where there is one.
pub fn width() -> Option<usize> {
    let (width, _) = size().ok().filter(|_| stdout().is_terminal())?;
    Some(width.into())
}

/// Whoever ends this process has it give the terminal back, as a key does.
fn hear_signals(keys: &Sender<u8>) {
    let Ok(runtime) = runtime::brief() else { return };
    runtime.block_on(async {
        let listen = |kind| signal(kind).ok();
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [Some(mut terminate), Some(mut interrupt), Some(mut hangup)] = kinds.map(listen) else {
            return;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
        // Nobody is left to hear of it: then the process ends anyway.
        let _ = keys.send(CONTROL_C);
    });
}

/// The line cut to so many columns. Sequences that colour it take none.
fn fit(line: &str, width: usize) -> String {
    let (mut fitted, mut used, mut colouring) = (String::new(), 0, false);
    for c in line.chars() {
        if c == '\u{1b}' || colouring {
            colouring = c == '\u{1b}' || !c.is_ascii_alphabetic();
            fitted.push(c);
            continue;
        }
        used += c.width().unwrap_or_default();
        if used <= width {
            fitted.push(c);
        }
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_to_the_screen_and_keeps_its_colours() {
        assert_eq!(fit("\u{1b}[1mabcdef\u{1b}[0m", 3), "\u{1b}[1mabc\u{1b}[0m");
        assert_eq!(fit("田中", 3), "田");
        assert_eq!(fit("abc", 80), "abc");
    }
}
