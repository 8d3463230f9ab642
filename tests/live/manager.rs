//! What systemd is told: the messages at a socket as it gives one to its services.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::events::{events, expected};
use crate::program::Run;
use crate::receiver::Receiver;
use crate::stage::{Stage, until_all};

/// A sign of life is due four times in this time.
const WATCHDOG: Duration = Duration::from_secs(2);

/// A service manager that listens.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new(path: &std::path::Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, heard: Vec::new() }
    }

    fn listen(&mut self) {
        let mut message = [0; 1024];
        while let Ok(length) = self.socket.recv(&mut message) {
            let message = String::from_utf8(message[..length].to_vec()).unwrap();
            self.heard.extend(message.lines().map(str::to_owned));
        }
    }

    fn count(&mut self, line: &str) -> usize {
        self.listen();
        self.heard.iter().filter(|heard| heard.starts_with(line)).count()
    }

    /// Where a line stands among those heard.
    fn place(&mut self, line: &str) -> usize {
        self.listen();
        let place = self.heard.iter().position(|heard| heard.starts_with(line));
        place.unwrap_or_else(|| panic!("never heard {line:?}: {:?}", self.heard))
    }
}

#[test]
fn the_service_manager_hears_of_every_turn() {
    let (stage, all) = (Stage::new(), events(500));
    let expected = expected(&all, &stage.rules());
    let receiver = Receiver::start();
    let config = stage.config("one", &receiver);
    let path = stage.path().join("notify");
    let mut manager = Manager::new(&path);
    let watchdog = WATCHDOG.as_micros().to_string();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", &watchdog)];
    let mut run = Run::start_with(&config.path, &environment);

    run.until("readiness", |_| manager.count("READY=1") > 0);
    assert_eq!(run.get("/-/ready").map(|(status, _)| status), Some(200));
    stage.send(&all);
    until_all(&mut run, &[&receiver], &expected);
    run.until("the status", |_| manager.count("STATUS=active: ") > 0);
    run.until("signs of life", |_| manager.count("WATCHDOG=1") >= 3);
    assert_eq!(manager.count("READY=1"), 1, "{:?}", manager.heard);

    run.signal("HUP");
    run.until("the end of the reload", |_| manager.count("READY=1") > 1);
    let reloading = manager.place("RELOADING=1");
    assert!(manager.heard[reloading + 1].starts_with("MONOTONIC_USEC="), "{:?}", manager.heard);

    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    let stopping = manager.place("STOPPING=1");
    assert!(reloading < stopping && manager.count("STOPPING=1") == 1, "{:?}", manager.heard);
    assert!(manager.place("STATUS=stopping: ") > stopping, "{:?}", manager.heard);
}

#[test]
fn a_frozen_process_gives_no_sign_of_life() {
    let stage = Stage::new();
    let receiver = Receiver::start();
    let config = stage.config("one", &receiver);
    let path = stage.path().join("notify");
    let mut manager = Manager::new(&path);
    let watchdog = WATCHDOG.as_micros().to_string();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", &watchdog)];
    let mut run = Run::start_with(&config.path, &environment);
    run.until("signs of life", |_| manager.count("WATCHDOG=1") >= 2);
    run.signal("STOP");
    std::thread::sleep(WATCHDOG / 4);
    let before = manager.count("WATCHDOG=1");
    std::thread::sleep(WATCHDOG);
    assert_eq!(manager.count("WATCHDOG=1"), before, "a process that stands still");
    run.signal("CONT");
    run.until("more signs of life", |_| manager.count("WATCHDOG=1") > before);
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
}

#[test]
fn a_socket_that_is_gone_stops_nobody() {
    let stage = Stage::new();
    let receiver = Receiver::start();
    let config = stage.config("one", &receiver);
    let path = stage.path().join("nobody");
    let mut run = Run::start_with(&config.path, &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    run.until("readiness", |run| run.get("/-/ready").is_some_and(|(status, _)| status == 200));
    assert_eq!(run.terminate(), Some(0), "{}", run.log());
    assert_eq!(run.log().matches("the service manager cannot be told").count(), 1);
}
