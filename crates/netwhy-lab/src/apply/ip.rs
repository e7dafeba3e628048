//! `ip route|rule|link|addr|neigh ...`

use super::{not_understood, number};
use crate::error::{LabError, Result};
use crate::node::Node;
use netwhy_change::route::{Route, TYPES};
use netwhy_change::rule::Rule;

pub(super) fn run(words: &[&str], node: &mut Node) -> Result<()> {
    let all = words;
    let (v6, words) = match words {
        ["-6", rest @ ..] => (true, rest),
        ["-4", rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    match words {
        ["route" | "r", verb @ ("add" | "del" | "delete" | "replace" | "change" | "append"), rest @ ..] => {
            let route = route(rest, v6)?;
            match *verb {
                "add" | "append" => node.route_add(route),
                "replace" | "change" => node.route_replace(route),
                _ => node.route_del(route),
            }
        }
        ["rule", "add", rest @ ..] => node.rule_add(&rule(rest, v6)?),
        ["rule", "del" | "delete", rest @ ..] => node.rule_del(&rule(rest, v6)?),
        ["link", "set", "dev", device, rest @ ..] | ["link", "set", device, rest @ ..] => {
            link(device, rest, node)
        }
        ["addr" | "address", verb, address, "dev", device, rest @ ..]
            if rest.iter().all(|w| *w == "nodad") =>
        {
            match *verb {
                "add" => node.addr_add(device, address),
                "del" | "delete" => node.addr_del(device, address),
                _ => Err(not_understood(&format!("ip {}", all.join(" ")))),
            }
        }
        ["neigh" | "neighbour", "del" | "delete", address, "dev", device, ..] => {
            node.neigh_del(device, address)
        }
        [
            "neigh" | "neighbour",
            "replace" | "add" | "change",
            address,
            "lladdr",
            hardware,
            "dev",
            device,
            ..,
        ] => node.neigh_set(device, address, hardware, "reachable"),
        _ => Err(not_understood(&format!("ip {}", all.join(" ")))),
    }
}

fn link(device: &str, words: &[&str], node: &mut Node) -> Result<()> {
    match words {
        [] => Ok(()),
        ["up", rest @ ..] => node.link_up(device).and_then(|()| link(device, rest, node)),
        ["down", rest @ ..] => node.link_down(device).and_then(|()| link(device, rest, node)),
        ["mtu", bytes, rest @ ..] => {
            node.link_mtu(device, number(bytes)?)?;
            link(device, rest, node)
        }
        ["master", bridge] => node.link_master(device, Some(bridge)),
        ["nomaster"] => node.link_master(device, None),
        ["xdp" | "xdpgeneric" | "xdpdrv", "off"] => node.xdp_set(device, None),
        ["arp", "on"] => node.link_arp(device, true),
        _ => Err(not_understood(&format!("ip link set dev {device} {}", words.join(" ")))),
    }
}

/// `[TYPE] PREFIX [via A] [dev D] [src A] [metric N] [table T] [onlink] [proto P] [scope S]`
fn route(words: &[&str], v6: bool) -> Result<Route> {
    let (kind, words) = match words {
        [first, rest @ ..] if TYPES.iter().any(|(name, _)| name == first) => (*first, rest),
        rest => ("unicast", rest),
    };
    let [dst, words @ ..] = words else { return Err(not_understood("ip route without a prefix")) };
    let any = words.iter().any(|word| word.contains(':'));
    let mut route = match *dst {
        "default" if v6 || any => Route::to("::/0")?,
        "default" => Route::to("0.0.0.0/0")?,
        dst => Route::to(dst)?,
    };
    route = route.kind(kind)?;
    let mut rest = words;
    loop {
        (route, rest) = match rest {
            [] => return Ok(route),
            ["via", "inet6", address, rest @ ..] | ["via", address, rest @ ..] => (route.via(address)?, rest),
            ["dev", device, rest @ ..] => (route.dev(device), rest),
            ["src", address, rest @ ..] => (route.src(address)?, rest),
            ["metric", metric, rest @ ..] => (route.metric(number(metric)?), rest),
            ["mtu", bytes, rest @ ..] => (route.mtu(number(bytes)?), rest),
            ["table", table, rest @ ..] => (route.table(self::table(table)?), rest),
            ["onlink", rest @ ..] => (route.onlink(), rest),
            ["proto" | "scope" | "pref", _, rest @ ..] => (route, rest),
            [word, ..] => return Err(not_understood(&format!("{word} in a route"))),
        };
    }
}

fn table(word: &str) -> Result<u32> {
    match word {
        "main" => Ok(254),
        "local" => Ok(255),
        "default" => Ok(253),
        other => number(other),
    }
}

/// `[priority N] [from P] [to P] [iif D] [oif D] [fwmark M[/M]] [ipproto P] [dport N] [lookup T | ACTION]`
fn rule(words: &[&str], v6: bool) -> Result<Rule> {
    let mut rule = Rule::lookup(0, 0);
    if v6 {
        rule = rule.v6();
    }
    let mut rest = words;
    loop {
        (rule, rest) = match rest {
            [] => return Ok(rule),
            ["priority" | "pref" | "prio", priority, rest @ ..] => (rule.priority(number(priority)?), rest),
            ["from" | "to", "all", rest @ ..] => (rule, rest),
            ["from", net, rest @ ..] => (rule.from(net)?, rest),
            ["to", net, rest @ ..] => (rule.to(net)?, rest),
            ["iif", device, rest @ ..] => (rule.iif(device), rest),
            ["oif", device, rest @ ..] => (rule.oif(device), rest),
            ["fwmark", mark, rest @ ..] => {
                let (value, mask) = mark.split_once('/').unwrap_or((mark, "0xffffffff"));
                (rule.mark(hexadecimal(value)?, hexadecimal(mask)?), rest)
            }
            ["ipproto", name, rest @ ..] => {
                let proto = match *name {
                    "tcp" => 6,
                    "udp" => 17,
                    "icmp" => 1,
                    other => number(other)?,
                };
                (rule.proto(proto), rest)
            }
            ["dport", port, rest @ ..] => {
                let (low, high) = port.split_once('-').unwrap_or((port, port));
                (rule.dport(number(low)?, number(high)?), rest)
            }
            ["lookup" | "table", table, rest @ ..] => (rule.table(self::table(table)?), rest),
            [action @ ("blackhole" | "unreachable" | "prohibit"), rest @ ..] => (rule.action(action)?, rest),
            [word, ..] => return Err(not_understood(&format!("{word} in a policy rule"))),
        };
    }
}

fn hexadecimal(word: &str) -> Result<u32> {
    match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16)
            .map_err(|_| LabError::Usage(format!("{word} is not a number here"))),
        None => number(word),
    }
}
