//! How values are written, by nft's options, and the words of hooks and priorities.

use std::collections::BTreeMap;

use netwhy_collect::Collector;
use netwhy_facts::nft::{NftChain, NftFamily};
use netwhy_walk::Style;

use super::options::Options;

/// Names of devices, ports and users.
pub(super) struct Words {
    devices: BTreeMap<u32, String>,
    services: BTreeMap<u16, String>,
    users: BTreeMap<u32, String>,
    numeric: bool,
    numeric_protocols: bool,
}

impl Words {
    pub(super) fn new(collector: &Collector, options: &Options) -> Self {
        let links = collector.links();
        let devices = links.value().into_iter().flat_map(|links| links.0.iter());
        let read = |wanted: bool, path: &str| {
            if wanted { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() }
        };
        let services = read(options.service, "/etc/services");
        let users = read(options.guid, "/etc/passwd");
        Words {
            devices: devices.map(|link| (link.index, link.name.clone())).collect(),
            services: services
                .lines()
                .filter_map(|line| {
                    let mut words = line.split('#').next()?.split_whitespace();
                    let name = words.next()?;
                    let (port, _) = words.next()?.split_once('/')?;
                    Some((port.parse().ok()?, name.to_owned()))
                })
                // Of two names of a port the first counts.
                .rev_collect(),
            users: users
                .lines()
                .filter_map(|line| {
                    let mut fields = line.split(':');
                    let name = fields.next()?;
                    Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
                })
                .rev_collect(),
            numeric: options.numeric,
            numeric_protocols: options.numeric_protocol,
        }
    }
}

/// A map in which the first of equal keys counts.
trait RevCollect<K, V> {
    fn rev_collect(self) -> BTreeMap<K, V>;
}

impl<K: Ord, V, I: Iterator<Item = (K, V)>> RevCollect<K, V> for I {
    fn rev_collect(self) -> BTreeMap<K, V> {
        let mut map = BTreeMap::new();
        for (key, value) in self {
            map.entry(key).or_insert(value);
        }
        map
    }
}

impl Style for Words {
    fn device(&self, index: u32) -> Option<String> {
        self.devices.get(&index).cloned()
    }
    fn numeric(&self) -> bool {
        self.numeric
    }
    fn numeric_protocols(&self) -> bool {
        self.numeric_protocols
    }
    fn service(&self, port: u16) -> Option<String> {
        self.services.get(&port).cloned()
    }
    fn moment(&self, seconds: u64) -> Option<String> {
        netwhy_sys::clock::local_time(i64::try_from(seconds).ok()?, "%Y-%m-%d %H:%M:%S").ok()
    }
    fn user(&self, number: u32) -> Option<String> {
        self.users.get(&number).cloned()
    }
}

/// Named priorities (nft(8), "Standard priority names").
const IP: &[(i32, &str)] =
    &[(-300, "raw"), (-150, "mangle"), (-100, "dstnat"), (0, "filter"), (50, "security"), (100, "srcnat")];
const BRIDGE: &[(i32, &str)] = &[(-300, "dstnat"), (-200, "filter"), (100, "out"), (300, "srcnat")];

/// The named priorities of a family.
fn table(family: NftFamily) -> &'static [(i32, &'static str)] {
    match family {
        NftFamily::Inet | NftFamily::Ip | NftFamily::Ip6 => IP,
        NftFamily::Bridge => BRIDGE,
        NftFamily::Arp | NftFamily::Netdev => &[(0, "filter")],
    }
}

/// A chain's priority: a name, a name and up to ten beside it, or a number.
pub(super) fn priority(family: NftFamily, hook: &str, number: i32, numeric: bool) -> String {
    let named = table(family).iter().find(|(base, name)| {
        let fits = match *name {
            "dstnat" => hook == "prerouting",
            "srcnat" => hook == "postrouting",
            "out" => hook == "output",
            _ => true,
        };
        fits && number.saturating_sub(*base).abs() <= 10
    });
    match named.filter(|_| !numeric).map(|(base, name)| (number - base, name)) {
        None => number.to_string(),
        Some((0, name)) => (*name).to_string(),
        Some((offset, name)) if offset > 0 => format!("{name} + {offset}"),
        Some((offset, name)) => format!("{name} - {}", -offset),
    }
}

/// The number of a priority's name.
pub(super) fn priority_number(family: NftFamily, word: &str) -> Option<i32> {
    table(family).iter().find(|(_, name)| *name == word).map(|(base, _)| *base)
}

/// The number of a hook's word in a family.
pub(super) fn hook_number(family: NftFamily, word: &str) -> Option<u32> {
    Some(match (family, word) {
        (NftFamily::Netdev, "ingress") | (NftFamily::Arp, "input") => 0,
        (NftFamily::Netdev, "egress") | (NftFamily::Arp, "output") => 1,
        (NftFamily::Netdev | NftFamily::Arp, _) => return None,
        (_, "prerouting") => 0,
        (_, "input") => 1,
        (_, "forward") => 2,
        (_, "output") => 3,
        (_, "postrouting") => 4,
        (NftFamily::Inet, "ingress") => 5,
        _ => return None,
    })
}

/// The word of a chain's hook.
pub(super) fn hook(chain: &NftChain) -> &'static str {
    netwhy_walk::text::hook_name(chain)
}
