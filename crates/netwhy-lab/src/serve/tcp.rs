//! TCP services that misbehave, and a client that only holds connections.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use netwhy_sys::process::{self, Limit, Resource};
use netwhy_sys::socket::{Family, Kind, Socket};

use super::{forever, idle, listen, ready};
use crate::error::{LabError, Result};

pub(super) fn serve(kind: &str, words: &[&str]) -> Result<()> {
    match (kind, words) {
        ("never-accept", [address]) => {
            let _kept = listen(address)?;
            ready()?;
            idle()
        }
        ("deadlocked", [address]) => {
            let _kept = listen(address)?;
            ready()?;
            forever()
        }
        ("bind-only", [address]) => {
            let address: SocketAddr = number(address)?;
            let socket = Socket::open(Family::of(address.ip()), Kind::Tcp)?;
            socket.bind(address)?;
            ready()?;
            idle()
        }
        ("udp-flood", [count, target]) => udp_flood(number(count)?, target),
        ("reset", [address]) => reset(address),
        ("tls10", [address]) => tls10(address),
        // Speaks first, as SMTP and SSH do, and ends when the other side does.
        ("greet", [address, greeting]) => {
            let listener = listen(address)?;
            ready()?;
            for mut stream in listener.incoming().flatten() {
                if stream.write_all(format!("{greeting}\r\n").as_bytes()).is_ok() {
                    let _ = std::io::copy(&mut stream, &mut std::io::sink());
                }
            }
            Ok(())
        }
        ("close", [address]) => {
            let listener = listen(address)?;
            ready()?;
            for stream in listener.incoming().flatten() {
                drop(stream);
            }
            Ok(())
        }
        // Hears a first word and ends the connection in order.
        ("hang-up", [address]) => {
            let listener = listen(address)?;
            ready()?;
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
            }
            Ok(())
        }
        // Hears a first word and says one thing, whatever it was.
        ("answer", [address, text]) => {
            let listener = listen(address)?;
            ready()?;
            for mut stream in listener.incoming().flatten() {
                let text = text.as_bytes().to_vec();
                std::thread::spawn(move || {
                    if stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                        let _ = stream.write_all(&text);
                    }
                });
            }
            Ok(())
        }
        ("accept-and-hold", [address]) => {
            let listener = listen(address)?;
            ready()?;
            let mut held = Vec::new();
            for stream in listener.incoming().flatten() {
                held.push(stream);
            }
            Ok(())
        }
        ("out-of-files", [address, limit]) => out_of_files(address, number(limit)?),
        ("hold-open", [count, target]) => hold_open(number(count)?, target),
        ("knock", [count, target]) => knock(number(count)?, target),
        _ => Err(LabError::Usage(format!("no such service: {kind} {}", words.join(" ")))),
    }
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T> {
    word.parse().map_err(|_| LabError::Usage(format!("{word} is not a number here")))
}

/// Accepts and answers with a reset at once.
fn reset(address: &str) -> Result<()> {
    // Accepted sockets inherit it.
    let listener = listen(&format!("{address},reset"))?;
    ready()?;
    for stream in listener.incoming().flatten() {
        drop(stream);
    }
    Ok(())
}

/// An acceptor that has used up its descriptors: accept(2) fails with EMFILE and it tries again.
fn out_of_files(address: &str, limit: u64) -> Result<()> {
    let listener = listen(address)?;
    let pid = std::process::id();
    let before = process::limit(pid, Resource::OpenFiles)?;
    process::set_limit(pid, Resource::OpenFiles, Limit { soft: Some(limit), ..before })?;
    let mut leaked = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        leaked.push(file);
    }
    ready()?;
    loop {
        match listener.accept() {
            Ok((stream, _)) => drop(std::thread::spawn(move || super::repeat(stream))),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Opens connections and keeps them.
fn hold_open(count: usize, target: &str) -> Result<()> {
    let address: SocketAddr =
        target.parse().map_err(|_| LabError::Usage(format!("{target} is not ADDRESS:PORT")))?;
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        // The one that finds the queue full or the ports used up ends it.
        match TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            Ok(stream) => held.push(stream),
            Err(_) => break,
        }
    }
    ready()?;
    forever()
}

/// Starts connections without waiting for an answer, and keeps them waiting.
fn knock(count: usize, target: &str) -> Result<()> {
    let address: SocketAddr =
        target.parse().map_err(|_| LabError::Usage(format!("{target} is not ADDRESS:PORT")))?;
    let family = Family::of(address.ip());
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = Socket::open(family, Kind::Tcp)?;
        socket.connect(address)?;
        held.push(socket);
    }
    ready()?;
    forever()
}

/// Sends datagrams that nobody reads.
fn udp_flood(count: usize, target: &str) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(LabError::io("bind"))?;
    for _ in 0..count {
        socket.send_to(&[0; 512], target).map_err(LabError::io(format!("send to {target}")))?;
    }
    ready()?;
    idle()
}

/// Answers every TLS hello as a server of 1999 does: with a hello of version 1.0 and a cipher of then.
fn tls10(address: &str) -> Result<()> {
    let listener = listen(address)?;
    ready()?;
    for mut stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let mut hello = [0; 4096];
            // RFC 2246: record (handshake, 1.0), server hello: 1.0, random, no session, AES128-SHA, no compression.
            let mut body = vec![3, 1];
            body.extend([7; 32]);
            body.extend([0, 0x00, 0x2f, 0]);
            let length = u8::try_from(body.len()).unwrap_or(0);
            let head = [0x16, 3, 1, 0, length + 4, 2, 0, 0, length];
            if stream.read(&mut hello).is_ok_and(|length| length > 0)
                && stream.write_all(&[&head[..], &body].concat()).is_ok()
            {
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            }
        });
    }
    Ok(())
}
