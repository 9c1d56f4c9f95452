//! Somebody at a terminal: keys go in, what is on the screen comes out (script(1) makes the terminal).

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::stage::{Stage, until};

/// A command that has a terminal of its own.
pub(super) struct Terminal {
    script: Child,
    keys: Option<ChildStdin>,
    screen: Arc<Mutex<String>>,
    /// Writes on the screen until nobody can any more.
    showing: Option<JoinHandle<()>>,
    /// Up to where the screen has been looked at.
    seen: usize,
}

impl Terminal {
    /// Runs `line` at a terminal in the lab's directory, with the shell `shell`.
    pub(super) fn open(stage: &Stage, shell: &str, line: &str) -> Self {
        let mut command = stage.command("script");
        command.args(["-qefc", line, "/dev/null"]).env("SHELL", shell);
        // Without anybody's own settings, and without the sequences of a clever terminal.
        command.env("HOME", stage.root()).env("TERM", "dumb").env_remove("PS1").env("NO_COLOR", "1");
        // ^C is the terminal's: what the test is started from has nothing to do with it.
        command.process_group(0);
        let mut script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let keys = script.stdin.take();
        let screen = Arc::new(Mutex::new(String::new()));
        let mut shown = script.stdout.take().unwrap();
        let written = screen.clone();
        let showing = std::thread::spawn(move || {
            let (mut buffer, mut held) = ([0; 4096], Vec::new());
            while let Ok(length @ 1..) = shown.read(&mut buffer) {
                held.extend_from_slice(&buffer[..length]);
                let whole = held.len() - cut_off(&held);
                written.lock().unwrap().push_str(&String::from_utf8_lossy(&held[..whole]));
                held.drain(..whole);
            }
        });
        Self { script, keys, screen, showing: Some(showing), seen: 0 }
    }

    /// Types.
    pub(super) fn keys(&mut self, keys: &str) {
        let pipe = self.keys.as_mut().unwrap();
        pipe.write_all(keys.as_bytes()).unwrap();
        pipe.flush().unwrap();
    }

    /// Waits until `text` is on the screen, behind what was seen before; what came up to there.
    #[track_caller]
    pub(super) fn see(&mut self, text: &str) -> String {
        let (screen, start) = (self.screen.clone(), self.seen);
        let mut end = None;
        let mut last = String::new();
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(text, || {
                last = screen.lock().unwrap()[start..].to_owned();
                end = last.find(text).map(|at| at + text.len());
                end.is_some()
            });
        }));
        assert!(looked.is_ok(), "{text:?} is not on the screen:\n{last}");
        self.seen += end.unwrap();
        last[..end.unwrap()].to_owned()
    }

    /// Waits for the end; the exit code, and all that was on the screen.
    pub(super) fn end(mut self) -> (i32, String) {
        let status = self.script.wait().unwrap();
        drop(self.keys.take());
        // What was printed last may still be on its way.
        self.showing.take().unwrap().join().unwrap();
        let screen = self.screen.lock().unwrap().clone();
        (status.code().unwrap(), screen)
    }
}

/// How many bytes at the end of `text` are a character whose rest has not come: a read ends anywhere.
fn cut_off(text: &[u8]) -> usize {
    let last = text.utf8_chunks().last();
    last.map_or(0, |last| match str::from_utf8(last.invalid()) {
        Err(error) if error.error_len().is_none() => last.invalid().len(),
        _ => 0,
    })
}

#[test]
fn a_character_that_comes_in_pieces_is_one() {
    let ellipsis = "ab…".as_bytes();
    assert_eq!([2, 3, 4, 5].map(|length| cut_off(&ellipsis[..length])), [0, 1, 2, 0]);
    assert_eq!([&b"a\xff"[..], b"\xe2\x80a", b""].map(cut_off), [0; 3]);
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A closed terminal ends what runs in it.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}
