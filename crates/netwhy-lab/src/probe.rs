//! The victim's own attempt: what an application would see, said in two words, phase and error.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netwhy_sys::Errno;
use netwhy_sys::poll::{self, Interest};
use netwhy_sys::socket::{Family, Kind, Socket};

use crate::error::{LabError, Result};

/// How long an attempt waits in each phase when nothing comes. Cables here answer within a millisecond,
/// and the kernel repeats a lost SYN only after a second.
pub const PATIENCE: Duration = Duration::from_millis(700);

/// What to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `tcp`, `udp`, `tls`, `http`, `tcp16`: sixteen connections one after the
    /// other, `udp-from-5060`: always from this port, or
    /// `tcp-bound-203.0.113.9`: from this address.
    pub scheme: String,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Target {
    /// Parses `tcp://203.0.113.2:8080`, `udp://[2001:db8::1]:53`, `tls://name:443`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = || LabError::Usage(format!("{text} is not SCHEME://HOST:PORT"));
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        let (host, port) = rest.rsplit_once(':').ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Target { scheme: scheme.to_owned(), host, port: port.parse().map_err(|_| bad())? })
    }

    /// The address, if the host is one.
    pub fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// `None`: it worked. Else the phase (`name`, `connect`, `hello`, `send`, `tls`) and the error's name or
    /// `timeout`, `closed`.
    pub failure: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Outcome {
    /// It worked.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.failure.is_none()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.elapsed.as_millis();
        match &self.failure {
            None => write!(f, "works ({ms} ms)"),
            Some(failure) => write!(f, "{failure} ({ms} ms)"),
        }
    }
}

pub(crate) fn named(phase: &str, error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.raw_os_error().map(Errno::new) {
        Some(errno) if errno != Errno::EAGAIN && errno != Errno::EINPROGRESS => format!("{phase} {errno:?}"),
        _ => match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => format!("{phase} timeout"),
            ErrorKind::UnexpectedEof => format!("{phase} closed"),
            kind => format!("{phase} {kind:?}"),
        },
    }
}

/// Tries once, in the calling thread's network namespace.
pub fn attempt(target: &Target, patience: Duration) -> Outcome {
    let start = Instant::now();
    let failure = try_once(target, patience).err();
    Outcome { failure, elapsed: start.elapsed() }
}

fn try_once(target: &Target, patience: Duration) -> Result<(), String> {
    let addresses: Vec<SocketAddr> = match target.literal() {
        Some(address) => vec![SocketAddr::new(address, target.port)],
        None => match (target.host.as_str(), target.port).to_socket_addrs() {
            Ok(found) => found.collect(),
            Err(_) => return Err("name unresolved".to_owned()),
        },
    };
    let mut last = "name unresolved".to_owned();
    for address in addresses {
        let result = match target.scheme.as_str() {
            // Sixteen connections, each from a port of its own: what fails depends on the port.
            "tcp16" => (0..16).try_for_each(|_| tcp(address, patience)),
            "tcp" => tcp(address, patience),
            "http" => http(address, patience),
            "udp" => udp(address, 0, patience),
            scheme if scheme.starts_with("udp-from-") => {
                let port = scheme.trim_start_matches("udp-from-").parse();
                udp(address, port.map_err(|_| format!("scheme {scheme}?"))?, patience)
            }
            scheme if scheme.starts_with("tcp-bound-") => {
                let source = scheme.trim_start_matches("tcp-bound-").parse();
                bound(source.map_err(|_| format!("scheme {scheme}?"))?, address, patience)
            }
            "tls" => crate::serve::tls::greet(address, &target.host, patience),
            other => Err(format!("scheme {other}?")),
        };
        match result {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// As [`tcp`], from an address of its choice.
fn bound(source: IpAddr, address: SocketAddr, patience: Duration) -> Result<(), String> {
    let failed = |phase: &str, error: netwhy_sys::SysError| format!("{phase} {:?}", error.errno);
    let socket = Socket::open(Family::of(source), Kind::Tcp).map_err(|e| failed("socket", e))?;
    socket.bind((source, 0).into()).map_err(|e| failed("bind", e))?;
    socket.connect(address).map_err(|e| failed("connect", e))?;
    let ready = poll::poll(&[(socket.as_fd(), Interest::WRITE)], Some(Instant::now() + patience));
    if !ready.map_err(|e| failed("connect", e))?.iter().any(|one| one.any()) {
        return Err("connect timeout".to_owned());
    }
    match socket.take_error().map_err(|e| failed("connect", e))? {
        Some(errno) => Err(format!("connect {errno:?}")),
        None => hello(socket.into_tcp_stream().map_err(|e| failed("connect", e))?, patience),
    }
}

/// Connects, says a word and waits for it to come back.
fn tcp(address: SocketAddr, patience: Duration) -> Result<(), String> {
    hello(TcpStream::connect_timeout(&address, patience).map_err(|e| named("connect", &e))?, patience)
}

fn hello(mut stream: TcpStream, patience: Duration) -> Result<(), String> {
    let hello = |error: std::io::Error| named("hello", &error);
    stream.set_read_timeout(Some(patience)).map_err(hello)?;
    stream.write_all(b"hello").map_err(hello)?;
    let mut word = [0; 5];
    stream.read_exact(&mut word).map_err(hello)
}

/// Asks for a page; an answer below 500 is one.
fn http(address: SocketAddr, patience: Duration) -> Result<(), String> {
    let mut stream = TcpStream::connect_timeout(&address, patience).map_err(|e| named("connect", &e))?;
    let failed = |error: std::io::Error| named("http", &error);
    stream.set_read_timeout(Some(patience)).map_err(failed)?;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).map_err(failed)?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).map_err(failed)?;
    let status = head.strip_prefix(b"HTTP/1.1 ").and_then(|rest| std::str::from_utf8(rest).ok());
    match status.and_then(|word| word.parse::<u16>().ok()) {
        Some(..500) => Ok(()),
        Some(status) => Err(format!("http {status}")),
        None => Err("http garbage".to_owned()),
    }
}

fn udp(address: SocketAddr, port: u16, patience: Duration) -> Result<(), String> {
    let any: SocketAddr =
        if address.is_ipv4() { ([0, 0, 0, 0], port).into() } else { ([0_u16; 8], port).into() };
    let socket = UdpSocket::bind(any).map_err(|e| named("bind", &e))?;
    socket.connect(address).map_err(|e| named("connect", &e))?;
    socket.set_read_timeout(Some(patience)).map_err(|e| named("send", &e))?;
    socket.send(b"hello").map_err(|e| named("send", &e))?;
    let mut word = [0; 16];
    socket.recv(&mut word).map(drop).map_err(|e| named("hello", &e))
}

/// The hidden role `try`: `try TARGET [every MILLISECONDS]`. Prints the failure or `ok`.
pub(crate) fn main(words: &[&str]) -> Result<i32> {
    let [target, rest @ ..] = words else { return Err(LabError::Usage("try what?".to_owned())) };
    let target = Target::parse(target)?;
    if let ["every", pause] = rest {
        let pause = pause.parse().map_err(|_| LabError::Usage(format!("{pause} milliseconds?")))?;
        loop {
            attempt(&target, PATIENCE);
            std::thread::sleep(Duration::from_millis(pause));
        }
    }
    let outcome = attempt(&target, PATIENCE);
    let text = outcome.failure.clone().unwrap_or_else(|| "ok".to_owned());
    let mut out = std::io::stdout();
    writeln!(out, "{text}").map_err(LabError::io("print the outcome"))?;
    Ok(i32::from(!outcome.is_ok()))
}
