//! `nightlatch health`: asks a running instance how it is, for the health checks of containers.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::{Exit, Outcome, load_config, terminal};
use crate::Error;

const EXAMPLES: &str = "Examples:
  nightlatch health                                 of the instance at 127.0.0.1:9464
  nightlatch health --config nightlatch.toml        of the instance with this configuration
  nightlatch health --alive                         does it live? A broker that is away is no matter

Exit codes: 0 yes; 1 no; 69 nobody answers.";

/// An answer is a status and one line; nobody sends more than this.
const ANSWER_BYTES_MAX: u64 = 4096;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct HealthArgs {
    /// Configuration file, whose `http.listen` is asked [default: none, all defaults]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to ask instead
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "config")]
    address: Option<SocketAddr>,
    /// Ask whether the process answers, not whether it reads events
    #[arg(long)]
    alive: bool,
    /// How long to wait for the answer, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
    /// Say nothing
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn health(args: &HealthArgs) -> Outcome {
    let address = match args.address {
        Some(address) => address,
        None => reachable(load_config(args.config.as_deref())?.http.listen),
    };
    let path = if args.alive { "/-/healthy" } else { "/-/ready" };
    let answer = ask(address, path, Duration::from_secs(args.timeout))
        .map_err(|error| unanswered(address, &error))?;
    let (is_good, words) = read(&answer).ok_or_else(|| garbled(address))?;
    if !args.quiet {
        terminal::say(&words.escape_debug().to_string());
    }
    Ok(if is_good { Exit::Good } else { Exit::No })
}

/// Where to ask: who listens on all addresses is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// One request, and all that comes back within the time.
fn ask(address: SocketAddr, path: &str, timeout: Duration) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + timeout;
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_write_timeout(Some(timeout))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let (mut answer, mut part) = (Vec::new(), [0; 1024]);
    while (answer.len() as u64) < ANSWER_BYTES_MAX {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // One that sends a byte now and then does not hold the check up either.
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part)? {
            0 => break,
            n_read => answer.extend(part.iter().take(n_read)),
        }
    }
    Ok(answer)
}

/// Whether the status is 200, and the words of the answer.
fn read(answer: &[u8]) -> Option<(bool, String)> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    let words = body.lines().next().filter(|line| !line.is_empty()).unwrap_or(status);
    Some((status == "200", words.to_owned()))
}

fn unanswered(address: SocketAddr, error: &io::Error) -> Error {
    let detail = match error.kind() {
        // What a socket says when its time is over depends on the system.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    };
    Error::unavailable(format!("nobody answers at {address}"))
        .detail(detail)
        .hint("is `nightlatch run` up, and is this its `http.listen`?")
}

fn garbled(address: SocketAddr) -> Error {
    Error::unavailable(format!("what answers at {address} is no HTTP server"))
        .hint("is this the `http.listen` of `nightlatch run`?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_on_loopback() {
        let asked = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(asked("[::]:9464"), "[::1]:9464");
        assert_eq!(asked("192.0.2.1:80"), "192.0.2.1:80");
    }

    #[test]
    fn answers_are_read_with_care() {
        let good = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n";
        assert_eq!(read(good), Some((true, "ready".to_owned())));
        let bad = b"HTTP/1.1 503 Service Unavailable\r\n\r\n";
        assert_eq!(read(bad), Some((false, "503".to_owned())));
        for garbage in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"SSH-2.0-x\r\n\r\n", b"\xff\xff\r\n\r\n"]
        {
            assert_eq!(read(garbage), None);
        }
    }
}
