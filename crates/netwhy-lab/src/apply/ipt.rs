//! `iptables [-t TABLE] -I|-A|-D|-P CHAIN ...` and the same of ip6tables.

use super::{not_understood, number};
use crate::error::Result;
use crate::node::Node;
use netwhy_change::ipt::{IptRule, Target};

pub(super) fn run(tool: &str, words: &[&str], node: &Node) -> Result<()> {
    let tool = tool.trim_end_matches("-legacy");
    let (table, words) = match words {
        ["-t", table, rest @ ..] => (*table, rest),
        rest => ("filter", rest),
    };
    match words {
        ["-P", chain, policy @ ("ACCEPT" | "DROP")] => {
            node.ipt_policy(tool, table, chain, *policy == "ACCEPT")
        }
        ["-I", chain, place, rest @ ..] if place.parse::<usize>().is_ok() => {
            node.ipt_insert(tool, table, chain, Some(number(place)?), &rule(rest)?).map(drop)
        }
        ["-I", chain, rest @ ..] => node.ipt_insert(tool, table, chain, Some(1), &rule(rest)?).map(drop),
        ["-A", chain, rest @ ..] => node.ipt_insert(tool, table, chain, None, &rule(rest)?).map(drop),
        ["-D", chain, place] => node.ipt_delete(tool, table, chain, number(place)?),
        ["-D", chain, rest @ ..] => node.ipt_delete_like(tool, table, chain, &rule(rest)?),
        _ => Err(not_understood(&format!("{tool} {}", words.join(" ")))),
    }
}

fn rule(words: &[&str]) -> Result<IptRule> {
    let mut rule = IptRule::new(Target::Accept);
    let mut rest = words;
    loop {
        (rule, rest) = match rest {
            [] => return Ok(rule),
            ["-s", net, rest @ ..] => (rule.source(net)?, rest),
            ["-d", net, rest @ ..] => (rule.destination(net)?, rest),
            ["-i", device, rest @ ..] => (rule.iif(device), rest),
            ["-o", device, rest @ ..] => (rule.oif(device), rest),
            ["-p", name, rest @ ..] => {
                let proto = match *name {
                    "tcp" => 6,
                    "udp" => 17,
                    "icmp" => 1,
                    "ipv6-icmp" | "icmpv6" => 58,
                    other => number(other)?,
                };
                (rule.proto(proto), rest)
            }
            ["-m", "tcp" | "udp" | "conntrack" | "state" | "comment", rest @ ..] => (rule, rest),
            ["--comment", _, rest @ ..] => (rule, rest),
            ["--dport", port, rest @ ..] => (rule.dport(number(port)?, number(port)?), rest),
            ["--sport", port, rest @ ..] => (rule.sport(number(port)?, number(port)?), rest),
            ["--ctstate" | "--state", states, rest @ ..] => {
                let bits = states.split(',').map(|word| match word {
                    "INVALID" => 1,
                    "ESTABLISHED" => 2,
                    "RELATED" => 4,
                    "NEW" => 8,
                    _ => 0,
                });
                (rule.state(bits.sum()), rest)
            }
            ["-j", target, rest @ ..] => {
                let target = match *target {
                    "ACCEPT" => Target::Accept,
                    "DROP" => Target::Drop,
                    "RETURN" => Target::Return,
                    "MASQUERADE" => Target::Masquerade,
                    chain => Target::Jump(chain.to_owned()),
                };
                (rule.to(target), rest)
            }
            [word, ..] => return Err(not_understood(&format!("{word} in an iptables rule"))),
        };
    }
}
