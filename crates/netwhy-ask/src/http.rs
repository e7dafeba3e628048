//! One HTTP/1.1 request and the head of its answer.
//!
//! The request is a GET, as the victim would send, and the connection is closed after the answer's head: the body
//! is not read. Statuses of proxies (407, 502, 503, 504) are statuses like others; what identifies a proxy (`Via`,
//! `Server`, `Proxy-Authenticate`) is kept.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use netwhy_facts::tls::HttpAnswer;

use crate::connect::micros;
use crate::tls::printable;

/// The largest head that is read.
const HEAD: usize = 32 * 1024;
/// Headers that are kept, in lower case.
const KEPT: [&str; 5] = ["server", "via", "proxy-authenticate", "location", "retry-after"];
/// Bytes of a header's value that are kept.
const VALUE: usize = 200;

/// Sends `GET path` and reads the head of the answer. `host` is what the Host header says.
pub fn get(stream: &mut (impl Read + Write), peer: SocketAddr, host: &str, path: &str) -> HttpAnswer {
    let mut answer = HttpAnswer { peer, status: None, first_byte_us: None, headers: Vec::new(), error: None };
    if let Err(error) = exchange(stream, host, path, &mut answer) {
        answer.error = Some(match error.kind() {
            io::ErrorKind::TimedOut => "no answer in time".to_owned(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                "the connection was reset".to_owned()
            }
            io::ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
            _ => error.to_string(),
        });
    }
    answer
}

fn exchange(
    stream: &mut (impl Read + Write),
    host: &str,
    path: &str,
    answer: &mut HttpAnswer,
) -> io::Result<()> {
    stream.write_all(&request(host, path))?;
    stream.flush()?;
    let asked = Instant::now();
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            answer.error = Some(match received.as_slice() {
                [] => "the connection was closed without an answer".to_owned(),
                some => format!("the connection was closed within the head: {}", printable(some, 80)),
            });
            return Ok(());
        }
        answer.first_byte_us.get_or_insert_with(|| micros(asked.elapsed()));
        received.extend_from_slice(buffer.get(..length).unwrap_or(&[]));
        if read_head(&received, answer) {
            return Ok(());
        }
        if received.len() > HEAD {
            answer.error = Some(format!("a head of more than {HEAD} bytes"));
            return Ok(());
        }
    }
}

fn request(host: &str, path: &str) -> Vec<u8> {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    // Nothing in a name or a path may end the line it stands in.
    let clean = |text: &str| text.chars().filter(|c| c.is_ascii_graphic()).collect::<String>();
    format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: netwhy\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        clean(&path),
        clean(host),
    )
    .into_bytes()
}

/// Reads as much as is there. `true`: the head is complete, or will never be one.
fn read_head(bytes: &[u8], answer: &mut HttpAnswer) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut response = httparse::Response::new(&mut headers);
    let complete = match response.parse(bytes) {
        Ok(status) => status.is_complete(),
        Err(error) => {
            answer.error = Some(format!("not an HTTP answer ({error}): {}", printable(bytes, 80)));
            return true;
        }
    };
    // Interim answers are followed by the real one.
    if complete && response.code.is_some_and(|code| (100..200).contains(&code) && code != 101) {
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        return match head.and_then(|end| bytes.get(end..)) {
            Some(rest) if !rest.is_empty() => read_head(rest, answer),
            _ => false,
        };
    }
    answer.status = response.code;
    if complete {
        answer.headers = response
            .headers
            .iter()
            .filter(|header| KEPT.iter().any(|name| header.name.eq_ignore_ascii_case(name)))
            .map(|header| (header.name.to_owned(), printable(header.value, VALUE)))
            .collect();
    }
    complete
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that answers in the pieces it was given.
    struct Scripted {
        sent: Vec<u8>,
        pieces: Vec<io::Result<&'static [u8]>>,
    }

    impl Read for Scripted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.pieces.is_empty() {
                return Ok(0);
            }
            let piece = self.pieces.remove(0)?;
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    impl Write for Scripted {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.sent.extend(buffer);
            Ok(buffer.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn ask(pieces: Vec<io::Result<&'static [u8]>>) -> (HttpAnswer, String) {
        let mut stream = Scripted { sent: Vec::new(), pieces };
        let peer = "198.51.100.1:80".parse().unwrap();
        let answer = get(&mut stream, peer, "db.internal\r\nX: y", "a b\r\n");
        (answer, String::from_utf8(stream.sent).unwrap())
    }

    #[test]
    fn a_head_in_pieces() {
        let (answer, sent) = ask(vec![
            Ok(b"HTTP/1.1 100 Continue\r\n\r\n"),
            Ok(b"HTTP/1.1 407 Proxy Auth"),
            Ok(b"entication Required\r\nVia: 1.1 proxy\xff\r\nproxy-authenticate: Basic\r\n"),
            Ok(b"Set-Cookie: secret\r\n\r\nbody"),
        ]);
        assert_eq!((answer.status, answer.error.as_deref()), (Some(407), None));
        assert!(answer.first_byte_us.is_some());
        let kept: Vec<_> =
            answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(kept, [("Via", "1.1 proxy\\xff"), ("proxy-authenticate", "Basic")]);
        assert!(sent.starts_with("GET /ab HTTP/1.1\r\nHost: db.internalX:y\r\n"), "{sent:?}");
        assert_eq!(sent.matches("\r\n").count(), 6);
    }

    #[test]
    fn every_way_not_to_answer() {
        let error = |pieces| ask(pieces).0.error.unwrap();
        assert_eq!(error(vec![]), "the connection was closed without an answer");
        assert_eq!(error(vec![Err(io::ErrorKind::TimedOut.into())]), "no answer in time");
        assert_eq!(error(vec![Err(io::ErrorKind::ConnectionReset.into())]), "the connection was reset");
        assert!(error(vec![Ok(b"HTTP/1.1 200 OK\r\nA")]).starts_with("the connection was closed within"));
        assert!(error(vec![Ok(b"SSH-2.0-x\r\n")]).contains("SSH-2.0-x\\r\\n"));
        let (answer, _) = ask(vec![Ok(b"HTTP/1.1 503 Busy\r\n"), Err(io::ErrorKind::TimedOut.into())]);
        assert_eq!((answer.status, answer.error.as_deref()), (Some(503), Some("no answer in time")));
    }

    #[test]
    fn damaged_heads_never_panic() {
        let base = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\n\r\n";
        let mut statuses = 0;
        crate::testing::mutations(base, 40_000, |bytes| {
            let peer = "198.51.100.1:80".parse().unwrap();
            let mut answer =
                HttpAnswer { peer, status: None, first_byte_us: None, headers: vec![], error: None };
            let _ = read_head(bytes, &mut answer);
            statuses += u32::from(answer.status.is_some());
        });
        assert!(statuses > 1_000);
    }
}
