//! Somebody at a terminal: keys go in, what is on the screen comes out (script(1) makes the terminal).

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};

use super::stage::{Stage, until};

/// A command that has a terminal of its own.
pub(super) struct Terminal {
    script: Child,
    keys: Option<ChildStdin>,
    screen: Arc<Mutex<String>>,
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
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = shown.read(&mut buffer) {
                written.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Self { script, keys, screen, seen: 0 }
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
        let screen = self.screen.lock().unwrap().clone();
        (status.code().unwrap(), screen)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A closed terminal ends what runs in it.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}
