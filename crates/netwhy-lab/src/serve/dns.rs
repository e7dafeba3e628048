//! A name server with a handful of names and every bad habit: `serve dns --name NAME ADDRESS:PORT WORD...`,
//! where a word is `name=address`, `name=none` for a name without an address, or one of the habits below.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, UdpSocket};

use super::{forever, listen, ready};
use crate::error::{LabError, Result};

const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const REFUSED: u8 = 5;

/// What the server knows and how it behaves.
#[derive(Debug, Default, Clone)]
struct Zone {
    names: Vec<(String, Option<IpAddr>)>,
    habit: Option<Habit>,
    no_tcp: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Answers nothing.
    Silent,
    /// This code to every question.
    Code(u8),
    /// Bytes that are no answer.
    Garbage,
    /// The question, cut, with the bit that says "ask again over TCP".
    Truncate,
}

/// Parts of a question that matter here.
struct Question {
    /// The question section as it came.
    section: Vec<u8>,
    name: String,
    kind: u16,
}

pub(super) fn serve(words: &[&str]) -> Result<()> {
    let [address, words @ ..] = words else {
        return Err(LabError::Usage("serve dns ADDRESS:PORT ...".to_owned()));
    };
    let mut zone = Zone::default();
    for word in words {
        match word.split_once('=') {
            Some((name, address)) => {
                let bad = |_| LabError::Usage(format!("{word} has no address"));
                let address = if address == "none" { None } else { Some(address.parse().map_err(bad)?) };
                zone.names.push((name.to_ascii_lowercase(), address));
            }
            None => match *word {
                "silent" => zone.habit = Some(Habit::Silent),
                "servfail" => zone.habit = Some(Habit::Code(SERVFAIL)),
                "refused" => zone.habit = Some(Habit::Code(REFUSED)),
                "garbage" => zone.habit = Some(Habit::Garbage),
                "truncate" => zone.habit = Some(Habit::Truncate),
                "no-tcp" => zone.no_tcp = true,
                other => return Err(LabError::Usage(format!("no such habit: {other}"))),
            },
        }
    }
    let socket = UdpSocket::bind(address).map_err(LabError::io(format!("bind {address}")))?;
    let udp = zone.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
            if let Some(answer) = udp.answer(buffer.get(..length).unwrap_or(&[]), true) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    if !zone.no_tcp {
        let listener = listen(address)?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let zone = zone.clone();
                std::thread::spawn(move || over_tcp(&zone, stream));
            }
        });
    }
    ready()?;
    forever()
}

/// One question after the other, each with its length in front (RFC 1035 section 4.2.2).
fn over_tcp(zone: &Zone, mut stream: TcpStream) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut query).is_err() {
            return;
        }
        let Some(answer) = zone.answer(&query, false) else { continue };
        let Ok(size) = u16::try_from(answer.len()) else { return };
        if stream.write_all(&[&size.to_be_bytes()[..], &answer].concat()).is_err() {
            return;
        }
    }
}

impl Zone {
    fn answer(&self, query: &[u8], udp: bool) -> Option<Vec<u8>> {
        let question = read_question(query)?;
        let id = query.get(..2)?;
        let wants_recursion = query.get(2)? & 1;
        let mut flags = [0x84 | wants_recursion, 0x80];
        let mut records: Vec<Vec<u8>> = Vec::new();
        match self.habit {
            Some(Habit::Silent) => return None,
            Some(Habit::Garbage) => return Some([id, b"\xff\xff\xff\xff\xff\xffnot an answer"].concat()),
            Some(Habit::Code(code)) => flags[1] |= code,
            Some(Habit::Truncate) if udp => flags[0] |= 2,
            _ => {
                let known = self.names.iter().filter(|(name, _)| *name == question.name);
                if known.clone().count() == 0 {
                    flags[1] |= NXDOMAIN;
                }
                records = known.filter_map(|(_, address)| record(question.kind, (*address)?)).collect();
            }
        }
        let count = u16::try_from(records.len()).ok()?;
        let mut answer = [id, &flags, &[0, 1], &count.to_be_bytes(), &[0; 4], &question.section].concat();
        answer.extend(records.concat());
        Some(answer)
    }
}

/// An answer record for the question's name (a pointer to byte 12), if the type fits.
fn record(kind: u16, address: IpAddr) -> Option<Vec<u8>> {
    let (wanted, data) = match address {
        IpAddr::V4(four) => (1, four.octets().to_vec()),
        IpAddr::V6(six) => (28, six.octets().to_vec()),
    };
    if kind != wanted {
        return None;
    }
    let length = u16::try_from(data.len()).ok()?;
    let head = [&[0xc0, 12][..], &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &length.to_be_bytes()].concat();
    Some([head, data].concat())
}

fn read_question(query: &[u8]) -> Option<Question> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
    Some(Question { section: query.get(12..at + 4)?.to_vec(), name: labels.join("."), kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(kind: u8) -> Vec<u8> {
        let mut bytes = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(b"\x02db\x07example\x00");
        bytes.extend([0, kind, 0, 1]);
        bytes
    }

    #[test]
    fn a_known_name_is_answered_and_an_unknown_one_denied() {
        let names = vec![("db.example".to_owned(), "203.0.113.2".parse().ok())];
        let zone = Zone { names, ..Zone::default() };
        let answer = zone.answer(&query(1), true).unwrap();
        assert_eq!((answer[3] & 15, answer[7]), (0, 1));
        assert_eq!(answer[answer.len() - 4..], [203, 0, 113, 2]);
        let none = zone.answer(&query(28), true).unwrap();
        assert_eq!((none[3] & 15, none[7]), (0, 0), "the name exists, the type does not");
        assert_eq!(Zone::default().answer(&query(1), true).unwrap()[3] & 15, NXDOMAIN);
    }

    #[test]
    fn truncation_is_for_udp_only() {
        let zone = Zone { habit: Some(Habit::Truncate), ..Zone::default() };
        assert_eq!(zone.answer(&query(1), true).unwrap()[2] & 2, 2);
        assert_eq!(zone.answer(&query(1), false).unwrap()[2] & 2, 0);
    }
}
