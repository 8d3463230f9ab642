//! A real PostgreSQL in a temporary folder: one that the tests of a binary share, or one of a test's
//! own. It stops, and its folder goes, when the process of the tests has ended.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::{NoTls, SimpleQueryMessage};

const START: Duration = Duration::from_secs(60);
/// Of every user that tests make.
pub const PASSWORD: &str = "test-password";
const ADMIN: &str = "postgres";

/// Ends the server, and takes its folder away, once the process of the tests is gone.
const WATCH: &str = r#"
tests=$1; folder=$2; shift 2
"$@" >>"$folder/log" 2>&1 &
server=$!
while kill -0 "$tests" 2>/dev/null && kill -0 "$server" 2>/dev/null; do sleep 0.2; done
kill -INT "$server" 2>/dev/null
wait "$server"
kill -0 "$tests" 2>/dev/null || rm -rf "$folder"
"#;

/// A server, with TLS and without.
pub struct Server {
    folder: PathBuf,
    /// Where the programs of PostgreSQL are.
    programs: PathBuf,
    pub port: u16,
}

/// A database of a test's own.
pub struct Database {
    pub port: u16,
    pub name: String,
}

/// The server that the tests of a binary share.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(Server::start)
}

impl Server {
    /// Makes a cluster and starts it.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("nightlatch-postgres-").tempdir().unwrap();
        let folder = folder.keep();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        let server = Self { folder, programs: programs(), port: free_port() };
        server.make();
        server.begin();
        server
    }

    fn make(&self) {
        let data = self.file("data");
        fs::create_dir(&data).unwrap();
        let password = self.file("password");
        fs::write(&password, PASSWORD).unwrap();
        certificates(&self.folder);
        if is_root() {
            let owned = [&data, &self.file("server.key"), &self.file("log")];
            fs::write(self.file("log"), "").unwrap();
            run(Command::new("chown").arg(ADMIN).args(owned));
        }
        run(self
            .as_user("initdb")
            .arg("-D")
            .arg(data)
            .args(["-U", ADMIN, "--auth=scram-sha-256", "--no-sync"])
            .args(["-E", "UTF8", "--locale=C"])
            .arg(format!("--pwfile={}", password.display())));
    }

    /// Starts it, at first or again.
    pub fn begin(&self) {
        let mut server = self.as_user("postgres");
        server.arg("-D").arg(self.file("data"));
        for option in [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "fsync=off".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", self.file("server.pem").display()),
            format!("ssl_key_file={}", self.file("server.key").display()),
        ] {
            server.args(["-c", &option]);
        }
        let mut watch = Command::new("sh")
            .args(["-c", WATCH, "watch", &std::process::id().to_string()])
            .arg(&self.folder)
            .arg(server.get_program())
            .args(server.get_args())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::spawn(move || watch.wait());
        let started = Instant::now();
        while try_query(self.port, ADMIN, ADMIN, "SELECT 1").is_err() {
            let log = fs::read_to_string(self.file("log")).unwrap_or_default();
            assert!(started.elapsed() < START, "PostgreSQL does not start: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// It dies as a machine does that loses its power.
    pub fn kill(&self) {
        run(self.as_user("pg_ctl").args(["stop", "-m", "immediate", "-D"]).arg(self.file("data")));
    }

    /// Sends a signal to the server and to all that serve connections.
    pub fn signal_all(&self, name: &str) {
        let pids = fs::read_to_string(self.file("data/postmaster.pid")).unwrap();
        let main = pids.lines().next().unwrap().to_owned();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &main]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        let signal = format!("-{name}");
        for child in children.split_whitespace() {
            // One that has ended since then wants no signal.
            Command::new("kill").args([&signal, child]).output().unwrap();
        }
        run(Command::new("kill").args([&signal, &main]));
    }

    /// A file: `ca.pem`, `other-ca.pem`, `password`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// An empty database, and the user `nightlatch` who owns it.
    pub fn database(&self) -> Database {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let role = format!(
            "DO $$ BEGIN CREATE ROLE nightlatch LOGIN PASSWORD '{PASSWORD}'; \
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        );
        try_query(self.port, ADMIN, ADMIN, &role).unwrap();
        let create = format!("CREATE DATABASE {name} OWNER nightlatch");
        try_query(self.port, ADMIN, ADMIN, &create).unwrap();
        Database { port: self.port, name }
    }

    /// A program of PostgreSQL, as a user that it does not refuse.
    fn as_user(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", ADMIN, "--regid", ADMIN, "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(&self.folder);
        command
    }
}

/// The shared one is never dropped: the shell that watches it takes it away.
impl Drop for Server {
    fn drop(&mut self) {
        if self.file("data/postmaster.pid").exists() {
            self.signal_all("CONT");
            let mut stop = self.as_user("pg_ctl");
            let _ = stop.args(["stop", "-m", "immediate", "-D"]).arg(self.file("data")).output();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Database {
    /// Rows as texts; NULL is empty. As the superuser, who sees everything.
    pub fn query(&self, sql: &str) -> Vec<Vec<String>> {
        self.try_query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// As [`Database::query`], or what the server says against it.
    pub fn try_query(&self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        try_query(self.port, ADMIN, &self.name, sql)
    }

    /// As [`Database::try_query`], as another user.
    pub fn try_query_as(&self, user: &str, sql: &str) -> Result<Vec<Vec<String>>, String> {
        try_query(self.port, user, &self.name, sql)
    }

    /// The only value of the only row.
    pub fn value(&self, sql: &str) -> String {
        let rows = self.query(sql);
        assert_eq!((rows.len(), rows[0].len()), (1, 1), "{sql}: {rows:?}");
        rows[0][0].clone()
    }
}

fn try_query(port: u16, user: &str, database: &str, sql: &str) -> Result<Vec<Vec<String>>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let words = |error: tokio_postgres::Error| format!("{error} {:?}", error.as_db_error());
    runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(port).user(user).password(PASSWORD).dbname(database);
        let (client, connection) = config.connect(NoTls).await.map_err(words)?;
        tokio::spawn(connection);
        let path = "SET search_path = nightlatch, public; SET TIME ZONE 'UTC'";
        client.batch_execute(path).await.map_err(words)?;
        let messages = client.simple_query(sql).await.map_err(words)?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let value = |index| row.get(index).unwrap_or_default().to_owned();
                Some((0..row.len()).map(value).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    })
}

/// An authority, a certificate of it for 127.0.0.1 and localhost, and another authority.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        run(command.current_dir(folder).args(arguments.split(' ')));
    };
    fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    for authority in ["ca", "other-ca"] {
        openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
             -subj /CN={authority} -keyout {authority}.key -out {authority}.pem"
        ));
    }
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
         -keyout server.key -out server.csr",
    );
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile names -out server.pem",
    );
    let owner_only = Permissions::from_mode(0o600);
    fs::set_permissions(folder.join("server.key"), owner_only).unwrap();
}

/// The newest that is installed; a test without one fails, and says where it is from.
fn programs() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let folder = entry.ok()?;
            let version = folder.file_name().to_str()?.parse().ok()?;
            Some((version, folder.path().join("bin")))
        })
        .filter(|(_, programs)| programs.join("postgres").is_file())
        .collect();
    found.sort_unstable();
    if let Some((_, programs)) = found.pop() {
        return programs;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| folder.join("initdb").is_file());
    on_path.unwrap_or_else(|| {
        panic!(
            "this test needs a real PostgreSQL, and it is not there\n\
             run `scripts/install-prerequisites --tests` once (Debian package postgresql)"
        )
    })
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
