//! Services a node can run, each as a process of its own: `serve KIND --name NAME ADDRESS...`.

pub(crate) mod tls;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

use crate::error::{LabError, Result};

/// The hidden role `serve`. Says `ready PID` when it can be reached.
pub(crate) fn main(words: &[&str]) -> Result<()> {
    let [kind, "--name", name, rest @ ..] = words else {
        return Err(LabError::Usage("serve KIND --name NAME ADDRESS...".to_owned()));
    };
    // What ps and netwhy show as the process's name; a cosmetic change that may fail.
    let _ = std::fs::write("/proc/self/comm", name);
    match *kind {
        "echo" => echo(rest),
        other => Err(LabError::Usage(format!("no such service: {other}"))),
    }
}

/// Tells the lab that the service can be reached, with its process id as the node sees it.
fn ready() -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "ready {}", std::process::id())
        .and_then(|()| out.flush())
        .map_err(LabError::io("say that the service is ready"))
}

fn listen(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(LabError::io(format!("listen on {address}")))
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
            _ => return Err(LabError::Usage(format!("{text} is not tcp:// or udp://"))),
        }
    }
    ready()?;
    forever()
}

fn repeat(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(buffer.get(..length).unwrap_or(&[])).is_err() {
            break;
        }
    }
}

/// Stays until the lab ends the process.
fn forever() -> ! {
    loop {
        std::thread::park();
    }
}
