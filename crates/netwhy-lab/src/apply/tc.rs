//! `tc qdisc|filter del ...` and `bpftool ... detach`.

use netwhy_sys::bpf::Link;

use super::{not_understood, number};
use crate::error::{LabError, Result};
use crate::node::Node;
use netwhy_change::tc::{CLSACT, EGRESS, INGRESS, ROOT};

pub(super) fn run(words: &[&str], node: &mut Node) -> Result<()> {
    match words {
        ["qdisc", "del" | "delete", "dev", device, "root", ..] => node.qdisc_del(device, ROOT),
        ["qdisc", "del" | "delete", "dev", device, "clsact" | "ingress"] => node.qdisc_del(device, CLSACT),
        ["filter", "del" | "delete", "dev", device, rest @ ..] => {
            let (at, rest) = match rest {
                ["ingress", rest @ ..] | ["parent", "ffff:fff2", rest @ ..] => (INGRESS, rest),
                ["egress", rest @ ..] | ["parent", "ffff:fff3", rest @ ..] => (EGRESS, rest),
                _ => return Err(not_understood(&format!("tc {}", words.join(" ")))),
            };
            let priority = rest.windows(2).find(|pair| matches!(pair, ["pref" | "prio" | "priority", _]));
            let priority = priority.and_then(|pair| pair.get(1)).map_or(Ok(0), |word| number(word))?;
            node.filter_del(device, at, priority)
        }
        _ => Err(not_understood(&format!("tc {}", words.join(" ")))),
    }
}

pub(super) fn bpftool(words: &[&str], node: &mut Node) -> Result<()> {
    match words {
        ["link", "detach", "id", id] => {
            let link = Link::by_id(number(id)?)?;
            link.detach().map_err(LabError::from)
        }
        ["net", "detach", "xdp" | "xdpgeneric" | "xdpdrv", "dev", device] => node.xdp_set(device, None),
        _ => Err(not_understood(&format!("bpftool {}", words.join(" ")))),
    }
}
