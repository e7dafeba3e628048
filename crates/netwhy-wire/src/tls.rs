//! The first messages of TLS, for asking what a server speaks: a ClientHello of any version from 1.0 on, and what
//! may come back to it (RFC 8446, RFC 5246, RFC 4346, RFC 2246). Records only; nothing here encrypts.

/// A protocol version as the wire has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16);

impl Version {
    /// SSL 3.0.
    pub const SSL_3_0: Version = Version(0x0300);
    /// TLS 1.0.
    pub const TLS_1_0: Version = Version(0x0301);
    /// TLS 1.1.
    pub const TLS_1_1: Version = Version(0x0302);
    /// TLS 1.2.
    pub const TLS_1_2: Version = Version(0x0303);
    /// TLS 1.3.
    pub const TLS_1_3: Version = Version(0x0304);
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::SSL_3_0 => write!(f, "SSLv3"),
            Self::TLS_1_0 => write!(f, "TLSv1.0"),
            Self::TLS_1_1 => write!(f, "TLSv1.1"),
            Self::TLS_1_2 => write!(f, "TLSv1.2"),
            Self::TLS_1_3 => write!(f, "TLSv1.3"),
            Version(other) => write!(f, "{other:#06x}"),
        }
    }
}

/// Content types of records.
mod content {
    pub(super) const ALERT: u8 = 21;
    pub(super) const HANDSHAKE: u8 = 22;
}

/// Bytes of a record's header.
const RECORD_HEADER: usize = 5;
/// The largest record a peer may send: 2^14 and what encryption may add.
const RECORD_LIMIT: usize = 16_384 + 2_048;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
/// The random of a ServerHello that asks for another ClientHello (RFC 8446 section 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Cipher suites of TLS 1.3.
const SUITES_1_3: [u16; 5] = [0x1301, 0x1302, 0x1303, 0x1304, 0x1305];
/// Cipher suites before it: all that servers have been seen to insist on, good and bad.
const SUITES_OLD: [u16; 34] = [
    0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc023, 0xc027, 0xc024, 0xc028, 0xc009, 0xc013, 0xc00a,
    0xc014, 0x009e, 0x009f, 0xccaa, 0x0067, 0x006b, 0x0033, 0x0039, 0x009c, 0x009d, 0x003c, 0x003d, 0x002f,
    0x0035, 0x0016, 0x000a, 0x0005, 0x0004, 0xc008, 0xc012, 0x00ff,
];

/// What a ClientHello offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer<'a> {
    /// The one version offered.
    pub version: Version,
    /// Server name indication; none for addresses.
    pub server_name: Option<&'a str>,
    /// Thirty-two random bytes; they are also the key share of TLS 1.3, to which nobody has the secret half.
    pub random: [u8; 32],
}

impl Offer<'_> {
    /// A ClientHello in its record. A server name longer than a domain name can be is left out.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let modern = self.version >= Version::TLS_1_3;
        let legacy = self.version.min(Version::TLS_1_2);
        let mut body = Vec::with_capacity(256);
        body.extend(legacy.0.to_be_bytes());
        body.extend(self.random);
        // A session id, as TLS 1.3 wants it in its compatibility mode.
        sized::<1>(&mut body, |out| out.extend(if modern { &self.random[..] } else { &[] }));
        let suites: &[u16] = if modern { &SUITES_1_3 } else { &SUITES_OLD };
        sized::<2>(&mut body, |out| out.extend(suites.iter().flat_map(|suite| suite.to_be_bytes())));
        body.extend([1, 0]);
        sized::<2>(&mut body, |out| self.extensions(out, modern));
        let mut message = vec![CLIENT_HELLO];
        sized::<3>(&mut message, |out| out.extend(body));
        let mut record = vec![content::HANDSHAKE];
        // The version of the record itself is one that every server takes.
        record.extend(legacy.min(Version::TLS_1_0).0.to_be_bytes());
        sized::<2>(&mut record, |out| out.extend(message));
        record
    }

    fn extensions(&self, out: &mut Vec<u8>, modern: bool) {
        if let Some(name) = self.server_name.filter(|name| name.len() <= 253 && !name.is_empty()) {
            extension(out, 0, |out| {
                sized::<2>(out, |out| {
                    out.push(0);
                    sized::<2>(out, |out| out.extend(name.as_bytes()));
                });
            });
        }
        // Groups: x25519, P-256, P-384, P-521; the key share of TLS 1.3 is of the first.
        extension(out, 10, |out| sized::<2>(out, |out| out.extend([0, 29, 0, 23, 0, 24, 0, 25])));
        extension(out, 11, |out| sized::<1>(out, |out| out.push(0)));
        if self.version >= Version::TLS_1_2 {
            let schemes: [u16; 14] = [
                0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601,
                0x0203, 0x0201, 0x0402,
            ];
            extension(out, 13, |out| {
                sized::<2>(out, |out| out.extend(schemes.iter().flat_map(|scheme| scheme.to_be_bytes())));
            });
        }
        if modern {
            extension(out, 43, |out| sized::<1>(out, |out| out.extend(self.version.0.to_be_bytes())));
            extension(out, 51, |out| {
                sized::<2>(out, |out| {
                    out.extend([0, 29]);
                    sized::<2>(out, |out| out.extend(self.random));
                });
            });
        } else {
            // Extended master secret; renegotiation is signalled by the last of the old suites.
            extension(out, 23, |_| {});
        }
    }
}

/// Appends what `fill` writes, with its length in `N` bytes before it.
fn sized<const N: usize>(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend([0; N]);
    fill(out);
    let length = (out.len() - at - N).to_be_bytes();
    let from = length.len().saturating_sub(N);
    for (to, byte) in out.iter_mut().skip(at).take(N).zip(length.iter().skip(from)) {
        *to = *byte;
    }
}

fn extension(out: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    out.extend(kind.to_be_bytes());
    sized::<2>(out, fill);
}

/// What came back to a ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The server chose.
    Hello {
        /// Its version.
        version: Version,
        /// Its cipher suite.
        suite: u16,
        /// It would first want another key share (HelloRetryRequest).
        retry: bool,
    },
    /// The server refused.
    Alert {
        /// 1 warning, 2 fatal.
        level: u8,
        /// See [`alert_name`].
        code: u8,
    },
    /// Not all of it is there yet.
    Incomplete,
    /// It is not TLS, or not this part of it.
    NotTls,
}

impl Reply {
    /// Reads the beginning of what a server sent.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut handshake = Vec::new();
        let mut rest = bytes;
        loop {
            let Some((&[kind, major, _minor, l0, l1], after)) = rest.split_first_chunk::<RECORD_HEADER>()
            else {
                let plausible = match rest {
                    [] => true,
                    [kind] => is_content(*kind),
                    [kind, major, ..] => is_content(*kind) && *major == 3,
                };
                return if plausible { Reply::Incomplete } else { Reply::NotTls };
            };
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            if !is_content(kind) || major != 3 || length > RECORD_LIMIT {
                return Reply::NotTls;
            }
            let Some((fragment, after)) = after.split_at_checked(length) else {
                return Reply::Incomplete;
            };
            match (kind, fragment) {
                // An alert that is a warning (such as an unrecognised name) may stand before the hello.
                (content::ALERT, [1, _, ..]) => {}
                (content::ALERT, [level, code, ..]) => return Reply::Alert { level: *level, code: *code },
                (content::HANDSHAKE, _) => {
                    handshake.extend_from_slice(fragment);
                    if let Some(found) = hello(&handshake) {
                        return found;
                    }
                }
                _ => return Reply::NotTls,
            }
            rest = after;
        }
    }
}

/// Only these may begin an answer to a ClientHello.
fn is_content(kind: u8) -> bool {
    matches!(kind, content::ALERT | content::HANDSHAKE)
}

/// A ServerHello as the first handshake message; `None` while it is incomplete.
fn hello(message: &[u8]) -> Option<Reply> {
    let (&[kind, l0, l1, l2], body) = message.split_first_chunk::<4>()?;
    if kind != SERVER_HELLO {
        return Some(Reply::NotTls);
    }
    let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
    Some(server_hello(body.get(..length)?).unwrap_or(Reply::NotTls))
}

fn server_hello(body: &[u8]) -> Option<Reply> {
    let (version, rest) = body.split_first_chunk::<2>()?;
    let (random, rest) = rest.split_first_chunk::<32>()?;
    let (session, rest) = rest.split_first()?;
    let rest = rest.get(usize::from(*session)..)?;
    let (suite, rest) = rest.split_first_chunk::<2>()?;
    let mut extensions = rest.get(3..).unwrap_or(&[]);
    let mut version = Version(u16::from_be_bytes(*version));
    while let Some((&[k0, k1, l0, l1], after)) = extensions.split_first_chunk::<4>() {
        let (data, after) = after.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        // supported_versions: what the server really chose.
        if let (43, [v0, v1]) = (u16::from_be_bytes([k0, k1]), data) {
            version = Version(u16::from_be_bytes([*v0, *v1]));
        }
        extensions = after;
    }
    Some(Reply::Hello { version, suite: u16::from_be_bytes(*suite), retry: *random == RETRY })
}

/// The name of an alert (RFC 8446 section 6 and the IANA registry), `unknown` for others.
#[must_use]
pub const fn alert_name(code: u8) -> &'static str {
    match code {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        114 => "bad_certificate_hash_value",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        121 => "ech_required",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offer(version: Version) -> Vec<u8> {
        Offer { version, server_name: Some("db.internal"), random: [7; 32] }.emit()
    }

    fn answer(version: u16, extensions: &[u8], random: [u8; 32]) -> Vec<u8> {
        let mut body = version.to_be_bytes().to_vec();
        body.extend(random);
        body.extend([1, 0xaa, 0xc0, 0x2f, 0]);
        if !extensions.is_empty() {
            body.extend((extensions.len() as u16).to_be_bytes());
            body.extend(extensions);
        }
        let mut out = vec![22, 3, 3];
        out.extend((body.len() as u16 + 4).to_be_bytes());
        out.extend([2, 0]);
        out.extend((body.len() as u16).to_be_bytes());
        out.extend(body);
        out
    }

    #[test]
    fn every_length_in_an_offer_fits() {
        for version in [Version::TLS_1_0, Version::TLS_1_1, Version::TLS_1_2, Version::TLS_1_3] {
            let bytes = offer(version);
            assert_eq!(bytes[..3], [22, 3, 1]);
            assert_eq!(usize::from(u16::from_be_bytes([bytes[3], bytes[4]])), bytes.len() - 5);
            assert_eq!((bytes[5], bytes[6]), (1, 0));
            assert_eq!(usize::from(u16::from_be_bytes([bytes[7], bytes[8]])), bytes.len() - 9);
            assert_eq!(u16::from_be_bytes([bytes[9], bytes[10]]), version.0.min(0x0303));
            let session = usize::from(bytes[43]);
            let suites = 44 + session;
            let count = usize::from(u16::from_be_bytes([bytes[suites], bytes[suites + 1]]));
            let extensions = suites + 2 + count + 2;
            let length = usize::from(u16::from_be_bytes([bytes[extensions], bytes[extensions + 1]]));
            assert_eq!(extensions + 2 + length, bytes.len());
            assert!(bytes.windows(11).any(|window| window == b"db.internal"));
        }
        let long = "x".repeat(300);
        let none = Offer { version: Version::TLS_1_2, server_name: Some(&long), random: [0; 32] };
        assert_eq!(none.emit(), Offer { server_name: None, ..none }.emit());
    }

    #[test]
    fn a_choice_is_read_whole_or_in_pieces() {
        let old = answer(0x0302, &[], [1; 32]);
        let chosen = Reply::Hello { version: Version::TLS_1_1, suite: 0xc02f, retry: false };
        assert_eq!(Reply::parse(&old), chosen);
        for cut in 0..old.len() {
            assert_eq!(Reply::parse(&old[..cut]), Reply::Incomplete, "{cut}");
        }
        let modern = answer(0x0303, &[0, 43, 0, 2, 3, 4], [1; 32]);
        assert!(matches!(Reply::parse(&modern), Reply::Hello { version: Version::TLS_1_3, .. }));
        assert!(matches!(
            Reply::parse(&answer(0x0303, &[0, 43, 0, 2, 3, 4], RETRY)),
            Reply::Hello { retry: true, .. }
        ));
        // Two records hold one message; a warning comes first.
        let mut split = vec![21, 3, 3, 0, 2, 1, 112, 22, 3, 3, 0, 10];
        split.extend(&old[5..15]);
        split.extend([22, 3, 3]);
        split.extend((old.len() as u16 - 15).to_be_bytes());
        split.extend(&old[15..]);
        assert_eq!(Reply::parse(&split), chosen);
    }

    #[test]
    fn refusals_and_strangers() {
        assert_eq!(Reply::parse(&[21, 3, 1, 0, 2, 2, 70]), Reply::Alert { level: 2, code: 70 });
        assert_eq!(alert_name(70), "protocol_version");
        for text in ["HTTP/1.1 400 Bad Request\r\n", "SSH-2.0-x\r\n", "220 mail\r\n", "\x16\x09"] {
            assert_eq!(Reply::parse(text.as_bytes()), Reply::NotTls, "{text:?}");
        }
        assert_eq!(Reply::parse(&[22, 3, 3, 0xff, 0xff, 0]), Reply::NotTls);
        assert_eq!(Reply::parse(&[22, 3, 3, 0, 4, 11, 0, 0, 0]), Reply::NotTls, "a certificate first");
        assert_eq!(Version(0x7f12).to_string(), "0x7f12");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_end_in_a_reply(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..80, value in any::<u8>()) {
            let _ = Reply::parse(&bytes);
            let mut hello = answer(0x0303, &[0, 43, 0, 2, 3, 4], [1; 32]);
            let at = at % hello.len();
            hello[at] = value;
            let _ = Reply::parse(&hello);
            hello.truncate(at);
            let _ = Reply::parse(&hello);
        }
    }
}
