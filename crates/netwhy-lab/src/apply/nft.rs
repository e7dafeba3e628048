//! `nft delete|insert|add rule`, chain policies, flushes, set elements.

use super::{not_understood, number};
use crate::error::{LabError, Result};
use crate::node::Node;
use netwhy_change::nft::{Element, Expressions, KeyType, Nft, Policy, Table};

/// nft(8) joins its arguments and reads the line anew.
pub(super) fn run(arguments: &[&str], node: &mut Node) -> Result<()> {
    // A comment that the shell took the quotes of is a string all the same.
    let line = match arguments {
        [words @ .., "comment", comment] => format!("{} comment \"{comment}\"", words.join(" ")),
        words => words.join(" "),
    };
    let words = lex(&line);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match &words[..] {
        ["delete", "rule", family, table, chain, "handle", handle] => {
            let handle = number(handle)?;
            node.nft_delete_rule(Table::parse(family)?, table, chain, handle)
        }
        ["delete", "element", family, table, set, rest @ ..] => {
            let (keys, element) = element(&rest.join(" ").replace(['{', '}', '\''], " "))?;
            node.nft_delete_elements(Table::parse(family)?, table, set, &keys, &[element])
        }
        ["flush", "chain", family, table, chain] => node.nft_flush_chain(Table::parse(family)?, table, chain),
        ["delete", "table", family, table] => node.nft_delete_table(Table::parse(family)?, table),
        ["insert", "rule", family, table, chain, "position" | "handle", handle, rule @ ..] => {
            insert(node, family, table, chain, Some(number(handle)?), rule)
        }
        ["insert", "rule", family, table, chain, rule @ ..] => insert(node, family, table, chain, None, rule),
        ["add", "rule", family, table, chain, rule @ ..] => {
            let mut problem = None;
            let nft = Nft::existing(Table::parse(family)?, table)
                .rule(chain, |start| expressions(start, rule, &mut problem));
            finish(nft, problem, node)
        }
        ["add" | "chain", rest @ ..] => policy(rest, node),
        _ => Err(not_understood(&format!("nft {}", words.join(" ")))),
    }
}

/// The words of a line of nft: blanks part them, double quotes group and vanish.
fn lex(line: &str) -> Vec<String> {
    let (mut words, mut word, mut open) = (Vec::new(), None::<String>, false);
    for letter in line.chars() {
        match letter {
            '"' => {
                open = !open;
                word.get_or_insert_default();
            }
            letter if letter.is_whitespace() && !open => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// An element's key: a value, a prefix, or fields joined by dots.
fn element(text: &str) -> Result<(Vec<KeyType>, Element)> {
    let text = text.trim();
    let fields: Vec<&str> = text.split(" . ").collect();
    let kind = |field: &str| match field.split('/').next().unwrap_or(field).parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => KeyType::Ip4Destination,
        Ok(std::net::IpAddr::V6(_)) => KeyType::Ip6Destination,
        Err(_) => KeyType::TcpPort,
    };
    let keys: Vec<KeyType> = fields.iter().map(|f| kind(f)).collect();
    match (text.split_once('/'), keys.as_slice()) {
        (Some((first, len)), [KeyType::Ip4Destination]) => {
            let start: std::net::Ipv4Addr = first.parse().map_err(|_| not_understood(text))?;
            let bits: u32 = number(len)?;
            let size = 1u32.checked_shl(32u32.saturating_sub(bits)).unwrap_or(0);
            let end = std::net::Ipv4Addr::from(u32::from(start).wrapping_add(size));
            Ok((keys, Element::interval(first, &end.to_string())))
        }
        (Some(_), _) => Err(not_understood(text)),
        (None, _) => Ok((keys, Element::new(text))),
    }
}

fn insert(
    node: &mut Node,
    family: &str,
    table: &str,
    chain: &str,
    before: Option<u64>,
    rule: &[&str],
) -> Result<()> {
    let mut problem = None;
    let nft = Nft::existing(Table::parse(family)?, table)
        .insert(chain, before, |start| expressions(start, rule, &mut problem));
    finish(nft, problem, node)
}

fn finish(nft: Nft, problem: Option<LabError>, node: &mut Node) -> Result<()> {
    match problem {
        Some(error) => Err(error),
        None => nft.commit(node).map(drop),
    }
}

/// `[chain] FAMILY TABLE CHAIN { policy accept ; }`, the braces in any spacing.
fn policy(words: &[&str], node: &mut Node) -> Result<()> {
    let words = words.strip_prefix(&["chain"]).unwrap_or(words);
    let [family, table, chain, rest @ ..] = words else {
        return Err(not_understood(&format!("nft chain {}", words.join(" "))));
    };
    let text = rest.join(" ").replace(['{', '}', ';', '\\'], " ");
    let policy = match text.split_whitespace().collect::<Vec<_>>()[..] {
        ["policy", "accept"] => Policy::Accept,
        ["policy", "drop"] => Policy::Drop,
        _ => return Err(not_understood(&format!("nft chain ... {text}"))),
    };
    node.nft_policy(Table::parse(family)?, table, chain, policy)
}

/// The matches and the verdict of a rule.
fn expressions(mut rule: Expressions, words: &[&str], problem: &mut Option<LabError>) -> Expressions {
    let mut rest = words;
    loop {
        (rule, rest) = match rest {
            [] => return rule,
            ["ip" | "ip6", "saddr", address, rest @ ..] => (rule.saddr(address), rest),
            ["ip" | "ip6", "daddr", address, rest @ ..] => (rule.daddr(address), rest),
            ["tcp", "dport", port, rest @ ..] if port.parse::<u16>().is_ok() => {
                (rule.tcp_dport(port.parse().unwrap_or(0)), rest)
            }
            ["tcp", "sport", port, rest @ ..] if port.parse::<u16>().is_ok() => {
                (rule.tcp_sport(port.parse().unwrap_or(0)), rest)
            }
            ["udp", "dport", port, rest @ ..] if port.parse::<u16>().is_ok() => {
                (rule.udp_dport(port.parse().unwrap_or(0)), rest)
            }
            ["udp", "sport", port, rest @ ..] if port.parse::<u16>().is_ok() => {
                (rule.udp_sport(port.parse().unwrap_or(0)), rest)
            }
            ["ct", "state", states, rest @ ..] => {
                let bits = states.split(',').map(state).sum();
                (rule.ct_state(bits), rest)
            }
            ["iifname" | "iif", name, rest @ ..] => (rule.iif(name), rest),
            ["oifname" | "oif", name, rest @ ..] => (rule.oif(name), rest),
            ["icmp", "type", "echo-request", rest @ ..] => (rule.icmp_type(8), rest),
            ["icmp", "type", "destination-unreachable", rest @ ..] => (rule.icmp_type(3), rest),
            ["icmpv6", "type", name, rest @ ..] => (rule.icmp6_type(icmp6(name)), rest),
            ["comment", _, rest @ ..] => (rule, rest),
            ["counter", rest @ ..] => (rule.counter(), rest),
            ["accept", rest @ ..] => (rule.accept(), rest),
            ["drop", rest @ ..] => (rule.drop(), rest),
            ["masquerade", rest @ ..] => (rule.masquerade(), rest),
            [word, ..] => {
                *problem = Some(not_understood(&format!("{word} in an nft rule: {}", words.join(" "))));
                return rule;
            }
        };
    }
}

fn state(word: &str) -> u32 {
    match word {
        "invalid" => 1,
        "established" => 2,
        "related" => 4,
        "new" => 8,
        "untracked" => 64,
        _ => 0,
    }
}

fn icmp6(word: &str) -> u8 {
    match word {
        "packet-too-big" => 2,
        "echo-request" => 128,
        "nd-neighbor-solicit" => 135,
        "nd-neighbor-advert" => 136,
        _ => word.parse().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_in_one_argument_is_read_word_by_word() {
        assert_eq!(
            lex(r#"rule inet "a;b" input tcp dport 80 drop comment "$(x) it's""#),
            ["rule", "inet", "a;b", "input", "tcp", "dport", "80", "drop", "comment", "$(x) it's"]
        );
    }
}
