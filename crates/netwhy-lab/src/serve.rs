//! Services a node can run, each as a process of its own: `serve KIND --name NAME [OPTION...] ADDRESS...`.

pub(crate) mod dns;
mod tcp;
pub(crate) mod tls;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use netwhy_sys::isolate::{Isolation, Kind as IsolationKind};
use netwhy_sys::signal::Signal;
use netwhy_sys::socket::{Family, Kind, Socket};

use crate::error::{LabError, Result};
use crate::node::HIDDEN;

/// The hidden role `serve`. Says `ready PID` when it can be reached.
pub(crate) fn main(words: &[&str]) -> Result<()> {
    let [kind, "--name", name, rest @ ..] = words else {
        return Err(LabError::Usage("serve KIND --name NAME ADDRESS...".to_owned()));
    };
    // What ps and netwhy show as the process's name; a cosmetic change that may fail.
    let _ = std::fs::write("/proc/self/comm", name);
    match *kind {
        "echo" => echo(rest),
        "own-namespace" => own_namespace(rest),
        "dns" => dns::serve(rest),
        "tls" => tls::serve(rest),
        other => tcp::serve(other, rest),
    }
}

/// Tells the lab that the service can be reached, with its process id as the node sees it.
pub(crate) fn ready() -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "ready {}", std::process::id())
        .and_then(|()| out.flush())
        .map_err(LabError::io("say that the service is ready"))
}

/// `ADDRESS:PORT` with options behind it: `,v6only`, `,reset`, `,reuseport`, `,dev=eth0`, `,md5=PEER`, `,deaf`, `,backlog=4`.
pub(crate) fn listen(text: &str) -> Result<TcpListener> {
    let mut parts = text.split(',');
    let address = address(parts.next().unwrap_or(text))?;
    let socket = Socket::open(Family::of(address.ip()), Kind::Tcp)?;
    socket.set_reuse_address()?;
    let mut backlog = 128;
    for option in parts {
        match option.split_once('=').unwrap_or((option, "")) {
            ("v6only", _) => socket.set_v6_only(true)?,
            ("reuseport", _) => socket.set_reuse_port()?,
            ("reset", _) => socket.reset_on_close()?,
            ("md5", peer) => {
                let peer = peer.parse().map_err(|_| LabError::Usage(format!("md5 {peer}?")))?;
                socket.set_md5_key(peer, b"a key of the lab")?;
            }
            ("deaf", _) => socket.refuse_everything()?,
            ("dev", device) => socket.bind_device(device)?,
            ("backlog", number) => {
                backlog = number.parse().map_err(|_| LabError::Usage(format!("backlog {number}?")))?;
            }
            _ => return Err(LabError::Usage(format!("listen with {option}?"))),
        }
    }
    socket.bind(address)?;
    Ok(socket.listen(backlog)?)
}

fn address(text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| LabError::Usage(format!("{text} is not ADDRESS:PORT")))
}

/// Repeats what it hears: `tcp://ADDRESS:PORT` and `udp://ADDRESS:PORT`.
fn echo(addresses: &[&str]) -> Result<()> {
    for text in addresses {
        match text.split_once("://") {
            Some(("tcp", address)) => {
                let listener = listen(address)?;
                std::thread::spawn(move || {
                    for stream in listener.incoming().flatten() {
                        std::thread::spawn(move || repeat(stream));
                    }
                });
            }
            Some(("udp", address)) => {
                let socket = UdpSocket::bind(address).map_err(LabError::io(format!("bind {address}")))?;
                std::thread::spawn(move || {
                    let mut buffer = [0; 2048];
                    loop {
                        // An error here is an ICMP complaint about an earlier answer.
                        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                            let _ = socket.send_to(buffer.get(..length).unwrap_or(&[]), from);
                        }
                    }
                });
            }
            // Bound, with room for a few datagrams, and never read.
            Some(("mute-udp", address)) => {
                let local = self::address(address)?;
                let socket = Socket::open(Family::of(local.ip()), Kind::Udp)?;
                socket.set_receive_buffer(2048)?;
                socket.bind(local)?;
                std::thread::spawn(move || {
                    let _kept = socket;
                    idle()
                });
            }
            _ => return Err(LabError::Usage(format!("{text} is not tcp:// or udp://"))),
        }
    }
    ready()?;
    forever()
}

/// The echo service as a container runs it: in a network namespace of its own.
fn own_namespace(addresses: &[&str]) -> Result<()> {
    let exe = std::env::current_exe().map_err(LabError::io("find this program"))?;
    let mut command = Command::new(exe);
    command.args([HIDDEN, "serve", "echo", "--name", "contained"]).args(addresses);
    let isolation = Isolation::new().new_namespaces(&[IsolationKind::Net]).death_signal(Signal::KILL);
    let mut child = isolation.spawn(command)?;
    child.wait().map_err(LabError::io("wait for the service")).map(drop)
}

fn repeat(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(buffer.get(..length).unwrap_or(&[])).is_err() {
            break;
        }
    }
}

/// Stays until the lab ends the process, asleep on a timer as a program that does something else.
pub(crate) fn idle() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Stays until the lab ends the process, waiting for other threads (a futex).
pub(crate) fn forever() -> ! {
    loop {
        std::thread::park();
    }
}
