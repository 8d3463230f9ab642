//! Programs that tests start beside themselves: on a free port, in a folder of their own, until they
//! are dropped.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::http;

const START: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// A program that runs.
pub struct Program {
    child: Child,
    /// Its files, and what it says in `log`.
    pub folder: tempfile::TempDir,
    /// `http://127.0.0.1:port`
    pub url: String,
}

impl Program {
    /// Starts the first of `names` that is on the path, and waits until `/-/ready` answers.
    /// `arguments` are made from the folder and `host:port`.
    pub fn start(
        names: &[&str],
        package: &str,
        arguments: impl FnOnce(&Path, &str) -> Vec<String>,
    ) -> Self {
        let binary = find(names, package);
        let folder = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(&binary)
            .args(arguments(folder.path(), &address))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        let mut program = Self { child, folder, url: format!("http://{address}") };
        program.wait_until_ready();
        program
    }

    fn wait_until_ready(&mut self) {
        let started = Instant::now();
        let ready = format!("{}/-/ready", self.url);
        while !http::get(&ready).is_ok_and(|(status, _)| status == 200) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < START,
                "{ready} does not answer ({ended:?}): {}",
                self.log()
            );
            std::thread::sleep(PAUSE);
        }
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The JSON of a GET.
    pub fn get(&self, path: &str) -> serde_json::Value {
        let (status, body) = http::get(&format!("{}{path}", self.url)).unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first of `names` on the path; a test that needs it fails without it, and says where it is from.
pub fn find(names: &[&str], package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let places = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    places.into_iter().find(|place| place.is_file()).unwrap_or_else(|| {
        panic!(
            "this test needs {}, and it is not there\n\
             run `scripts/install-prerequisites --tests` once (Debian package {package})",
            names.join(" or ")
        )
    })
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until something is so.
pub fn wait_for(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(PAUSE);
    }
}
