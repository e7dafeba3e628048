//! DNS messages (RFC 1035, EDNS RFC 6891, extended errors RFC 8914): one question out, one answer in. No I/O.

use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;

use domain::base::iana::{Class, Opcode};
use domain::base::{Message, MessageBuilder, Name, ParsedName, Rtype};
use domain::rdata::{A, Aaaa, Cname};
use netwhy_facts::names::NameOutcome;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Name servers: what a plain probe of a server asks the root for.
    Ns,
}

impl Kind {
    /// The mnemonic.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Ns => "NS",
        }
    }

    const fn rtype(self) -> Rtype {
        match self {
            Kind::A => Rtype::A,
            Kind::Aaaa => Rtype::AAAA,
            Kind::Ns => Rtype::NS,
        }
    }
}

/// Why a message is not the answer to the question: in words for a report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Mismatch(pub String);

/// Longest CNAME chain that is followed, as resolvers do.
const CHAIN: usize = 16;
/// What a sender of EDNS says it can receive: fits every link without fragments.
const PAYLOAD: u16 = 1232;

/// A query for a name, recursion desired, with an identifier that cannot be guessed. `None`: not a domain name.
#[must_use]
pub fn query(name: &str, kind: Kind, edns: bool) -> Option<Vec<u8>> {
    let name = Name::<Vec<u8>>::from_str(name).ok()?;
    let mut builder = MessageBuilder::new_vec();
    // Keys of the hasher come from the system's random source.
    builder.header_mut().set_id(RandomState::new().hash_one(0) as u16);
    builder.header_mut().set_rd(true);
    let mut question = builder.question();
    question.push((&name, kind.rtype())).ok()?;
    if !edns {
        return Some(question.finish());
    }
    let mut additional = question.additional();
    additional
        .opt(|opt| {
            opt.set_udp_payload_size(PAYLOAD);
            Ok(())
        })
        .ok()?;
    Some(additional.finish())
}

/// Reads what claims to be the answer to `query`. Always [`NameOutcome::Reply`], or why it is not one.
pub fn read(query: &[u8], answer: &[u8]) -> Result<NameOutcome, Mismatch> {
    let wrong = |why: &str| Mismatch(why.to_owned());
    let asked = Message::from_slice(query).map_err(|_| wrong("the query itself is cut"))?;
    let message = Message::from_slice(answer)
        .map_err(|_| Mismatch(format!("{} bytes, a header alone has 12", answer.len())))?;
    let header = message.header();
    if header.id() != asked.header().id() {
        return Err(Mismatch(format!("id {}, asked with {}", header.id(), asked.header().id())));
    }
    if !header.qr() {
        return Err(wrong("a query, not a response"));
    }
    if header.opcode() != Opcode::QUERY {
        return Err(Mismatch(format!("opcode {}", header.opcode())));
    }
    let rcode = message.opt_rcode().to_string();
    // Servers that refuse may leave the question out (RFC 5625, and many in practice).
    if message.header_counts().qdcount() == 0 && rcode != "NOERROR" {
        return Ok(reply(message, rcode, Records::default()));
    }
    let (ours, theirs) = (asked.sole_question(), message.sole_question());
    let same = match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => {
            ours.qname() == theirs.qname()
                && ours.qtype() == theirs.qtype()
                && ours.qclass() == theirs.qclass()
        }
        _ => false,
    };
    if !same {
        return Err(match theirs {
            Ok(theirs) => {
                Mismatch(format!("answers another question: {} {}", theirs.qname(), theirs.qtype()))
            }
            Err(error) => Mismatch(format!("question section: {error}")),
        });
    }
    let records = match collect(message) {
        Ok(records) => records,
        // A cut answer may well end inside a record; what it says is that it is cut.
        Err(_) if header.tc() => Records::default(),
        Err(error) => return Err(error),
    };
    Ok(reply(message, rcode, records))
}

/// What an answer section says about the name asked for.
#[derive(Default)]
struct Records {
    addresses: Vec<std::net::IpAddr>,
    cnames: Vec<String>,
    ttl_s: Option<u32>,
}

fn reply(message: &Message<[u8]>, rcode: String, records: Records) -> NameOutcome {
    let header = message.header();
    NameOutcome::Reply {
        rcode,
        addresses: records.addresses,
        cnames: records.cnames,
        truncated: header.tc(),
        authoritative: header.aa(),
        recursion_available: header.ra(),
        ttl_s: records.ttl_s,
        ede: extended_error(message),
    }
}

fn collect(message: &Message<[u8]>) -> Result<Records, Mismatch> {
    let broken = |error: domain::base::wire::ParseError| Mismatch(format!("answer section: {error}"));
    let question = message.sole_question().map_err(broken)?;
    let mut owner: ParsedName<&[u8]> = question.into_qname();
    let mut records = Records::default();
    let note = |ttl_s: u32, records: &mut Records| {
        records.ttl_s = Some(records.ttl_s.map_or(ttl_s, |least| least.min(ttl_s)));
    };
    // Servers put a chain in order, but need not.
    for _ in 0..CHAIN {
        let mut next = None;
        for record in message.answer().map_err(broken)? {
            let record = record.map_err(broken)?;
            if record.class() != Class::IN || record.owner() != owner {
                continue;
            }
            if record.rtype() == Rtype::CNAME
                && let Some(cname) = record.to_record::<Cname<_>>().map_err(broken)?
            {
                note(cname.ttl().as_secs(), &mut records);
                next = Some(cname.into_data().into_cname());
            } else if record.rtype() == Rtype::A
                && let Some(a) = record.to_record::<A>().map_err(broken)?
            {
                note(a.ttl().as_secs(), &mut records);
                records.addresses.push(a.data().addr().into());
            } else if record.rtype() == Rtype::AAAA
                && let Some(aaaa) = record.to_record::<Aaaa>().map_err(broken)?
            {
                note(aaaa.ttl().as_secs(), &mut records);
                records.addresses.push(aaaa.data().addr().into());
            }
        }
        match next {
            None => return Ok(records),
            Some(next) => {
                records.cnames.push(next.to_string());
                owner = next;
            }
        }
    }
    Err(Mismatch(format!("a chain of more than {CHAIN} CNAMEs, or a loop")))
}

/// The reasons a server gives beside the rcode, `22 (No Reachable Authority): text`.
fn extended_error(message: &Message<[u8]>) -> Option<String> {
    let opt = message.opt()?;
    let error = opt.opt().extended_error()?;
    let mut text = error.code().to_int().to_string();
    if let Some(name) = error.code().to_mnemonic() {
        text.push_str(&format!(" ({})", String::from_utf8_lossy(name)));
    }
    if let Some(words) = error.text_slice().filter(|words| !words.is_empty()) {
        text.push_str(": ");
        text.push_str(&String::from_utf8_lossy(words));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::base::iana::ExtendedErrorCode;
    use domain::base::iana::{OptRcode, Rcode};
    use domain::base::opt::ExtendedError;

    /// An answer to `query` with the records of an answer section, made by another hand than the reader.
    fn answer(query: &[u8], rcode: Rcode, records: &[(&str, u16, &[u8])]) -> Vec<u8> {
        let mut out = query.to_vec();
        out[2] |= 0x84; // QR, AA
        out[3] = 0x80 | rcode.to_int(); // RA
        out[7] = records.len() as u8;
        out[11] = 0;
        for (owner, rtype, data) in records {
            for label in owner.split_terminator('.') {
                out.push(label.len() as u8);
                out.extend(label.bytes());
            }
            out.push(0);
            out.extend(rtype.to_be_bytes());
            out.extend([0, 1, 0, 0, 0, 60]);
            out.extend((data.len() as u16).to_be_bytes());
            out.extend(*data);
        }
        out
    }

    fn wire_name(name: &str) -> Vec<u8> {
        let mut out: Vec<u8> =
            name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
        out.push(0);
        out
    }

    #[test]
    fn a_chain_of_aliases_out_of_order_leads_to_addresses() {
        let query = query("www.Example.com", Kind::A, false).unwrap();
        let bytes = answer(
            &query,
            Rcode::NOERROR,
            &[
                ("b.example.net", 1, &[203, 0, 113, 2]),
                ("other.example.net", 1, &[203, 0, 113, 9]),
                ("a.example.net", 5, &wire_name("b.example.net")),
                ("WWW.example.COM", 5, &wire_name("a.example.net")),
                ("b.example.net", 1, &[203, 0, 113, 1]),
            ],
        );
        let NameOutcome::Reply {
            rcode, addresses, cnames, authoritative, recursion_available, ttl_s, ..
        } = read(&query, &bytes).unwrap()
        else {
            panic!()
        };
        assert_eq!(rcode, "NOERROR");
        assert_eq!(
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["203.0.113.2", "203.0.113.1"]
        );
        assert_eq!(cnames, ["a.example.net", "b.example.net"]);
        assert_eq!((authoritative, recursion_available, ttl_s), (true, true, Some(60)));
    }

    #[test]
    fn what_does_not_fit_the_question_says_how() {
        let ours = query("db.internal", Kind::A, false).unwrap();
        let mut other = query("db.internal", Kind::A, false).unwrap();
        other[0] = !ours[0];
        let why = |bytes: &[u8]| read(&ours, bytes).unwrap_err().to_string();
        assert!(why(&answer(&other, Rcode::NOERROR, &[])).starts_with("id "));
        assert_eq!(why(&ours), "a query, not a response");
        assert_eq!(why(&ours[..7]), "7 bytes, a header alone has 12");
        let mut another = query("db.external", Kind::A, false).unwrap();
        another[..2].copy_from_slice(&ours[..2]);
        assert_eq!(why(&answer(&another, Rcode::NOERROR, &[])), "answers another question: db.external A");
        let cut = answer(&ours, Rcode::NOERROR, &[("db.internal", 1, &[1, 2])]);
        assert!(why(&cut).starts_with("answer section: "), "{}", why(&cut));
        let round = wire_name("db.internal");
        assert!(why(&answer(&ours, Rcode::NOERROR, &[("db.internal", 5, &round)])).contains("loop"));
        // Cut and saying so is a truncated answer, not garbage.
        let mut cut = answer(&ours, Rcode::NOERROR, &[("db.internal", 1, &[1, 2, 3, 4])]);
        cut.truncate(cut.len() - 2);
        cut[2] |= 0x02;
        assert!(matches!(read(&ours, &cut), Ok(NameOutcome::Reply { truncated: true, .. })));
    }

    #[test]
    fn a_refusal_without_a_question_is_a_refusal() {
        let ours = query("db.internal", Kind::Aaaa, false).unwrap();
        let mut bytes = answer(&ours, Rcode::REFUSED, &[]);
        bytes.truncate(12);
        bytes[5] = 0;
        assert!(matches!(read(&ours, &bytes), Ok(NameOutcome::Reply { rcode, .. }) if rcode == "REFUSED"));
    }

    #[test]
    fn a_servers_reason_is_read() {
        let ours = query("db.internal", Kind::A, true).unwrap();
        let asked = Message::from_slice(&ours).unwrap();
        let mut builder =
            MessageBuilder::new_vec().start_answer(asked, Rcode::SERVFAIL).unwrap().additional();
        builder
            .opt(|opt| {
                opt.set_rcode(OptRcode::SERVFAIL);
                let error: ExtendedError<Vec<u8>> =
                    ExtendedError::new_with_str(ExtendedErrorCode::NO_REACHABLE_AUTHORITY, "at delegation x")
                        .unwrap();
                opt.push(&error)
            })
            .unwrap();
        let Ok(NameOutcome::Reply { rcode, ede, .. }) = read(&ours, &builder.finish()) else { panic!() };
        assert_eq!(rcode, "SERVFAIL");
        assert_eq!(ede.unwrap(), "22 (No Reachable Authority): at delegation x");
    }

    #[test]
    fn what_is_no_domain_name_is_not_asked() {
        assert!(query(&"x".repeat(64), Kind::A, false).is_none());
        assert!(query("a..b", Kind::A, false).is_none());
        assert!(query(&"abcdefgh.".repeat(40), Kind::A, false).is_none());
        assert!(query(".", Kind::Ns, false).is_some());
        let ids: std::collections::BTreeSet<_> =
            (0..50).map(|_| query("x", Kind::A, false).unwrap()[..2].to_vec()).collect();
        assert!(ids.len() > 40, "identifiers differ");
    }

    #[test]
    fn mutated_answers_never_panic() {
        let ours = query("www.example.com", Kind::A, true).unwrap();
        let alias = wire_name("a.example.net");
        let base = answer(
            &ours,
            Rcode::NOERROR,
            &[
                ("www.example.com", 5, &alias),
                ("a.example.net", 1, &[1, 2, 3, 4]),
                ("", 41, &[0, 15, 0, 3, 0, 22, 65]),
            ],
        );
        let (mut garbage, mut replies) = (0, 0);
        crate::testing::mutations(&base, 60_000, |bytes| match read(&ours, bytes) {
            Ok(_) => replies += 1,
            Err(_) => garbage += 1,
        });
        assert!(garbage > 1_000 && replies > 1_000, "{garbage} {replies}");
    }
}
