//! The `typeof` expression a set was declared with, from the user data that nft keeps with the set. Its form
//! was read off what nft 1.0.6 writes: entries of type, length and bytes, numbers in host order.

use super::fields::{self, Header};

const PAYLOAD: u32 = 7;
const EXTHDR: u32 = 8;
const META: u32 = 9;
const SOCKET: u32 = 10;
const OSF: u32 = 11;
const CT: u32 = 12;
const CONCAT: u32 = 13;
const RT: u32 = 25;
const FIB: u32 = 26;

/// The expression in words; `None` when it is one this build does not know.
pub fn typeof_words(userdata: &[u8]) -> Option<String> {
    words(userdata, 0)
}

fn words(userdata: &[u8], depth: u8) -> Option<String> {
    let (kind, data) = (number(entry(userdata, 0)?)?, entry(userdata, 1)?);
    let at = |which: u8| number(entry(data, which)?);
    Some(match kind {
        PAYLOAD => {
            let (header, field) = (at(0)?, at(1)?);
            let header = header_of(header)?;
            let name = field_of(header, field)?;
            format!("{} {name}", header.name())
        }
        META => {
            let (name, _, bare) = fields::meta(at(0)?)?;
            if bare { name.to_owned() } else { format!("meta {name}") }
        }
        CT => {
            let (name, _) = fields::ct(at(0)?, false)?;
            match at(1)? {
                0 => format!("ct original {name}"),
                1 => format!("ct reply {name}"),
                _ => format!("ct {name}"),
            }
        }
        SOCKET => match at(0)? {
            0 => "socket transparent".into(),
            1 => "socket mark".into(),
            2 => "socket wildcard".into(),
            _ => return None,
        },
        RT => match at(0)? {
            0 => "rt classid".into(),
            1 => "rt ip nexthop".into(),
            2 => "rt ip6 nexthop".into(),
            _ => return None,
        },
        FIB => {
            let keys: Vec<&str> = [(1, "saddr"), (2, "daddr"), (4, "mark"), (8, "iif"), (16, "oif")]
                .iter()
                .filter(|(bit, _)| at(1).is_some_and(|flags| flags & bit != 0))
                .map(|(_, word)| *word)
                .collect();
            let result = match at(0)? {
                1 => "oif",
                2 => "oifname",
                _ => "type",
            };
            format!("fib {} {result}", keys.join(" . "))
        }
        OSF => "osf name".into(),
        // Its header and field have numbers of their own.
        EXTHDR => return None,
        CONCAT if depth == 0 => {
            let parts: Option<Vec<String>> =
                (0..16).map_while(|at| entry(data, at)).map(|part| words(part, depth + 1)).collect();
            parts.filter(|parts| !parts.is_empty())?.join(" . ")
        }
        _ => return None,
    })
}

/// The bytes of one entry.
fn entry(mut userdata: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [kind, length, rest @ ..] = userdata {
        let (value, behind) = rest.split_at_checked(usize::from(*length))?;
        if *kind == wanted {
            return Some(value);
        }
        userdata = behind;
    }
    None
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

/// The header by nft's number of it.
fn header_of(number: u32) -> Option<Header> {
    let headers = [
        Header::Ah,
        Header::Esp,
        Header::Comp,
        Header::Icmp,
        Header::Igmp,
        Header::Udp,
        Header::Udplite,
        Header::Tcp,
        Header::Dccp,
        Header::Sctp,
        Header::Th,
        Header::Ip,
        Header::Ip6,
        Header::Icmp6,
        Header::Arp,
        Header::Vlan,
        Header::Ether,
    ];
    headers.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
}

/// The field by nft's number of it: its place in the header, but for two headers.
fn field_of(header: Header, number: u32) -> Option<&'static str> {
    match (header, number) {
        (Header::Vlan, 4) => Some("id"),
        (Header::Vlan, 5) => Some("type"),
        (Header::Icmp, 7) | (Header::Icmp6, 5) => Some("mtu"),
        (Header::Icmp6, 6) => Some("id"),
        (Header::Icmp6, 7) => Some("sequence"),
        _ => header.fields().get(usize::try_from(number).ok()?.checked_sub(1)?).map(|field| field.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn what_nft_wrote_down_is_read_back() {
        for (hex, words) in [
            ("000407000000010c00040c00000001040b000000", "ip saddr"),
            (
                "0004070000000112000410000000010404000000\
              04040c000000",
                "vlan id",
            ),
            ("0004090000000106000406000000", "iifname"),
            ("00040c000000010c000413000000010400000000", "ct original ip saddr"),
            (
                "00040d000000012c0014000407000000010c00040c00000001040b00000001140004070000\
                 00010c000408000000010402000000",
                "ip saddr . tcp dport",
            ),
        ] {
            assert_eq!(typeof_words(&bytes(hex)).as_deref(), Some(words));
        }
        // A set declared by types has a list without a word in it.
        assert_eq!(typeof_words(&bytes("00040d0000000100")), None);
        for broken in ["", "00", "0004", "000407000000", "0004ffffffff0100"] {
            assert_eq!(typeof_words(&bytes(broken)), None);
        }
    }
}
