//! What etcd prints: kept in a file, so that no thread has to read it and etcd never waits for a reader.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How many of etcd's last lines are looked at.
const LINES: usize = 50;

/// How many bytes of them an error carries; the message of a C caller holds 1023 in all.
const EXCERPT: usize = 700;

/// How much of the file's end is read for the last lines.
const TAIL: u64 = 64 * 1024;

/// From this size on the file is emptied.
const MAX_SIZE: u64 = 8 * 1024 * 1024;

/// The file that etcd's standard output and standard error go to, or the caller's own standard error.
#[derive(Debug)]
pub(super) struct Log {
    path: Option<PathBuf>,
}

impl Log {
    /// Keeps the output in the file at `path`.
    pub(super) fn file(path: PathBuf) -> Self {
        Self { path: Some(path) }
    }

    /// Sends the output to standard error.
    pub(super) fn inherit() -> Self {
        Self { path: None }
    }

    /// The path of the file, where there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Points the output of `command` here.
    pub(super) fn attach(&self, command: &mut Command) -> io::Result<()> {
        let (out, err) = match &self.path {
            Some(path) => {
                let file = OpenOptions::new().append(true).create(true).open(path)?;
                (Stdio::from(file.try_clone()?), Stdio::from(file))
            }
            None => (Stdio::from(io::stderr()), Stdio::inherit()),
        };
        command.stdout(out).stderr(err);
        Ok(())
    }

    /// Everything printed so far (the end of it, if it is much), which is then forgotten.
    pub(super) fn take(&self) -> String {
        let text = self.read();
        if let Some(path) = &self.path {
            _ = empty(path);
        }
        text
    }

    /// The last lines, one below the other and shortened to what a message can hold.
    pub(super) fn excerpt(&self) -> String {
        if self.path.is_none() {
            return "its output went to standard error".to_owned();
        }
        match excerpt(&self.read()) {
            text if text.is_empty() => "it printed nothing".to_owned(),
            text => format!("its last lines:\n{text}"),
        }
    }

    fn read(&self) -> String {
        let end = |path: &PathBuf| -> io::Result<Vec<u8>> {
            let mut file = File::open(path)?;
            let size = file.metadata()?.len();
            file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
            let mut bytes = Vec::new();
            file.take(TAIL).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = self.path.as_ref().and_then(|path| end(path).ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Empties a file that has grown large. Its writer appends, and so goes on at the beginning.
pub(super) fn trim(path: &Path) {
    if path.metadata().is_ok_and(|data| data.len() > MAX_SIZE) {
        _ = empty(path);
    }
}

fn empty(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.set_len(0)
}

/// The last lines of `text` that fit into a message, the newest always, without Go's stack traces.
fn excerpt(text: &str) -> String {
    let mut kept = Vec::new();
    let mut room = EXCERPT;
    for line in text.lines().rev().map(without_trace).filter(|line| !line.trim().is_empty()).take(LINES) {
        let line = start_of(line, EXCERPT);
        if line.len() > room {
            break;
        }
        room -= line.len();
        kept.push(line);
    }
    kept.reverse();
    kept.join("\n")
}

fn without_trace(line: &str) -> &str {
    line.split_once(",\"stacktrace\":").map_or(line, |(told, _)| told)
}

fn start_of(line: &str, limit: usize) -> &str {
    let end = line.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= limit).last();
    line.get(..end.unwrap_or(0)).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_in_order_and_within_the_limit() {
        assert_eq!(excerpt("one\n\ntwo\n"), "one\ntwo");
        let many: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        let kept = excerpt(&many);
        assert!(kept.ends_with("line 998\nline 999") && kept.lines().count() == LINES, "{kept}");
        let wide = format!("first\n{}", "é".repeat(2000));
        let kept = excerpt(&wide);
        assert!(kept.len() <= EXCERPT && kept.starts_with('é'), "{kept}");
    }

    #[test]
    fn stack_traces_are_left_out() {
        let line = r#"{"level":"fatal","msg":"m","error":"e","stacktrace":"go.etcd.io/x\n\tmain.go:1"}"#;
        assert_eq!(excerpt(line), r#"{"level":"fatal","msg":"m","error":"e""#);
    }
}
