//! Offload features: `-k` and `-K`.

use netwhy_sys::ethtool::{self, Feature};

use super::Run;
use crate::iproute::page::Value;
use crate::session::ToolError;

/// Names from before there were single features: the word of `-K`, the line of `-k`, and which features it stands
/// for (`*` at one place for anything).
const LEGACY: [(&str, &str, &[&str]); 11] = [
    ("rx", "rx-checksumming", &["rx-checksum"]),
    ("tx", "tx-checksumming", &["tx-checksum-*"]),
    ("sg", "scatter-gather", &["tx-scatter-gather*"]),
    ("tso", "tcp-segmentation-offload", &["tx-tcp*-segmentation"]),
    ("gso", "generic-segmentation-offload", &["tx-generic-segmentation"]),
    ("gro", "generic-receive-offload", &["rx-gro"]),
    ("lro", "large-receive-offload", &["rx-lro"]),
    ("rxvlan", "rx-vlan-offload", &["rx-vlan-hw-parse"]),
    ("txvlan", "tx-vlan-offload", &["tx-vlan-hw-insert"]),
    ("ntuple", "ntuple-filters", &["rx-ntuple-filter"]),
    ("rxhash", "receive-hashing", &["rx-hashing"]),
];

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((head, tail)) => {
            name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
        }
        None => pattern == name,
    }
}

fn members<'f>(patterns: &[&str], all: &'f [Feature]) -> Vec<&'f Feature> {
    all.iter().filter(|feature| patterns.iter().any(|pattern| fits(pattern, &feature.name))).collect()
}

/// `[fixed]`, `[requested on]`.
fn remark(feature: &Feature) -> &'static str {
    if feature.fixed {
        " [fixed]"
    } else if feature.requested != feature.active {
        if feature.requested { " [requested on]" } else { " [requested off]" }
    } else {
        ""
    }
}

fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn one(run: &mut Run<'_>, lead: &str, name: &str, feature: &Feature) {
    run.page.text(format_args!("{lead}{name}: {}{}\n", word(feature.active), remark(feature)));
    run.page.open(name);
    run.page.json("active", feature.active);
    run.page.json("fixed", feature.fixed);
    run.page.json("requested", feature.requested);
    run.page.close();
}

fn read(run: &mut Run<'_>) -> Result<Vec<Feature>, ToolError> {
    // The netlink family says why a device is not there; the ioctl has every name.
    run.ask(11, 1, 1)?;
    run.ioctl("Cannot get device features", 1, ethtool::features)
}

/// `-k`.
pub(super) fn show(run: &mut Run<'_>) -> Result<u8, ToolError> {
    if let Some(word) = run.words.first() {
        return Err(ToolError::usage(format!("ethtool: unexpected parameter '{word}'"), 1));
    }
    let all = read(run)?;
    run.open();
    run.page.text(format_args!("Features for {}:\n", run.device));
    let mut said: Vec<&str> = Vec::new();
    for (_, line, patterns) in LEGACY {
        let group = members(patterns, &all);
        said.extend(group.iter().map(|feature| feature.name.as_str()));
        match group.as_slice() {
            [] => {}
            [single] => one(run, "", line, single),
            many => {
                let active = many.iter().any(|feature| feature.active);
                run.page.text(format_args!("{line}: {}\n", word(active)));
                run.page.open(line);
                run.page.json("active", active);
                run.page.json("fixed", Value::Null);
                run.page.json("requested", Value::Null);
                run.page.close();
                for feature in many {
                    one(run, "\t", &feature.name, feature);
                }
            }
        }
    }
    for feature in all.iter().filter(|feature| !said.contains(&feature.name.as_str())) {
        one(run, "", &feature.name, feature);
    }
    run.close();
    Ok(0)
}

/// `-K`.
pub(super) fn change(run: &mut Run<'_>) -> Result<u8, ToolError> {
    let before = read(run)?;
    let mut wanted: Vec<(String, bool)> = Vec::new();
    let words = run.words.clone();
    let mut words = words.iter();
    while let Some(name) = words.next() {
        let value = words.next().map(String::as_str);
        let on = match value {
            Some("on") => true,
            Some("off") => false,
            other => {
                return Err(ToolError::usage(
                    format!(
                        "ethtool (-K): flag '{}' for parameter '{name}' is not followed by 'on' or 'off'",
                        other.unwrap_or("(null)")
                    ),
                    1,
                ));
            }
        };
        let patterns: Vec<&str> = match LEGACY.iter().find(|(short, long, _)| short == name || long == name) {
            Some((_, _, patterns)) => patterns.to_vec(),
            None => vec![name.as_str()],
        };
        let group = members(&patterns, &before);
        if group.is_empty() {
            return Err(ToolError::failed(
                "netlink error: bit name not found\nnetlink error: Operation not supported",
                92,
            ));
        }
        wanted.extend(group.iter().map(|feature| (feature.name.clone(), on)));
    }
    if wanted.is_empty() {
        return Err(ToolError::failed("Could not change any device features", 1));
    }
    let differ = |name: &str, on: bool| {
        before.iter().any(|feature| feature.name == name && feature.requested != on && !feature.fixed)
    };
    let undo: Vec<String> = wanted
        .iter()
        .filter(|(name, on)| differ(name, *on))
        .map(|(name, on)| format!("{name} {}", word(!on)))
        .collect();
    let device = run.device.clone();
    let what = format!("ethtool -K {device} {}", run.words.join(" "));
    let undo = if undo.is_empty() {
        "nothing to do: it is so already".to_owned()
    } else {
        format!("ethtool -K {device} {}", undo.join(" "))
    };
    run.announce(&what, Some(&undo))?;
    // One request for all: features depend on each other.
    run.request(12, 1, 92, |message| {
        // ETHTOOL_A_FEATURES_WANTED, a bitset of names.
        message.nest(3, |set| {
            set.nest(3, |bits| {
                for (name, on) in &wanted {
                    bits.nest(1, |bit| {
                        bit.str(2, name);
                        if *on {
                            bit.flag(3);
                        }
                    });
                }
            });
        });
    })?;
    let after = run.ioctl("Cannot get device features", 1, ethtool::features)?;
    report(run, &before, &after, &wanted)
}

/// What changed, if it is not just what was asked for.
fn report(
    run: &mut Run<'_>,
    before: &[Feature],
    after: &[Feature],
    wanted: &[(String, bool)],
) -> Result<u8, ToolError> {
    let asked = |name: &str| wanted.iter().rev().find(|(own, _)| own == name).map(|(_, on)| *on);
    let mut lines = Vec::new();
    let (mut surprise, mut effect) = (false, false);
    for (old, new) in before.iter().zip(after) {
        let changed = old.active != new.active;
        effect |= changed || (old.requested != new.requested && new.active == new.requested);
        let note = match asked(&new.name) {
            Some(on) if on != new.active => {
                surprise = true;
                format!(" [requested {}]", word(on))
            }
            Some(_) if changed => String::new(),
            None if changed => {
                surprise = true;
                " [not requested]".to_owned()
            }
            _ => continue,
        };
        lines.push(format!("{}: {}{note}\n", new.name, word(new.active)));
    }
    if surprise {
        run.page.say("Actual changes:\n");
        for line in &lines {
            run.page.say(line);
        }
    }
    let holds = |name: &str, on: bool| after.iter().any(|one| one.name == name && one.active == on);
    let nothing = !effect && !wanted.iter().any(|(name, on)| holds(name, *on));
    if nothing {
        run.page.flush()?;
        return Err(ToolError::failed("Could not change any device features", 1));
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_stand_for_groups_of_features() {
        assert!(fits("tx-tcp*-segmentation", "tx-tcp6-segmentation"));
        assert!(fits("tx-tcp*-segmentation", "tx-tcp-segmentation"));
        assert!(!fits("tx-tcp*-segmentation", "tx-udp-segmentation"));
        assert!(fits("tx-scatter-gather*", "tx-scatter-gather-fraglist"));
        assert!(!fits("rx-gro", "rx-gro-hw"));
    }
}
