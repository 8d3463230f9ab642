//! `nightlatch run` as a user starts it: the program, its log, and the pages that it serves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(90);

/// The program under test.
pub fn nightlatch() -> Command {
    Command::new(env!("CARGO_BIN_EXE_nightlatch"))
}

/// A running program, its log, and the address that it serves.
pub struct Run {
    pub child: Child,
    log: Arc<Mutex<String>>,
}

impl Run {
    pub fn start(config: &Path) -> Self {
        Self::start_with(config, &[])
    }

    /// Starts it with environment variables of its own.
    pub fn start_with(config: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = nightlatch()
            .args(["run", "--config"])
            .arg(config)
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let kept = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = kept.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the condition holds; the program must live on meanwhile.
    pub fn until(&mut self, what: &str, holds: impl FnMut(&Self) -> bool) {
        self.within(TIMEOUT, what, holds);
    }

    /// As [`Run::until`], with patience of the test's own.
    pub fn within(&mut self, timeout: Duration, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the program ended with {ended:?}\n{}", self.log());
            assert!(started.elapsed() < timeout, "{what} did not come about\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where it serves its pages; `None` until it says so.
    pub fn address(&self) -> Option<String> {
        let log = self.log();
        Some(log.split("address=").nth(1)?.split_whitespace().next()?.to_owned())
    }

    /// Status and body of a page; `None` while nobody listens.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.address()?).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    }

    /// The sum of a metric's series; a name with labels names one series.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics")?;
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        Some(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let signal = format!("-{name}");
        Command::new("kill").args([&signal, &self.child.id().to_string()]).status().unwrap();
    }

    /// Asks it to stop, as a service manager does, and gives the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.ended()
    }

    /// Waits for its end, and gives the exit code.
    pub fn ended(&mut self) -> Option<i32> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(started.elapsed() < TIMEOUT, "it does not stop\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `kill -9`.
    pub fn crash(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.crash();
    }
}
