//! Actions of filters (uapi `linux/tc_act/*.h`).

use netwhy_facts::tc::{TcAction, TcStats};
use netwhy_wire::netlink::{Attribute, Fixed};

use super::{Options, stats};
use crate::decode::{Decoded, structure};

/// A list of actions: attributes numbered by their order, each an action.
pub(super) fn decode_list(list: &Attribute<'_>) -> Decoded<Vec<TcAction>> {
    list.attributes().map(|one| decode(&one?)).collect()
}

fn decode(nest: &Attribute<'_>) -> Decoded<TcAction> {
    let mut action = TcAction {
        kind: String::new(),
        control: "unknown".to_owned(),
        options: Options::new(),
        stats: TcStats::default(),
    };
    let mut data = None;
    for attribute in nest.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            1 => action.kind = attribute.text().into_owned(),
            2 => data = Some(attribute),
            4 => action.stats = stats(&attribute)?.0,
            _ => {}
        }
    }
    let Some(data) = data else { return Ok(action) };
    if action.kind == "police" {
        police(&data, &mut action)?;
        return Ok(action);
    }
    // Every other kind has its parameters in a structure that starts with `tc_gen`: index, capab, action.
    // The attribute's number is 2, but 1 for those two.
    let number = if matches!(action.kind.as_str(), "csum" | "nat" | "connmark" | "ct") { 1 } else { 2 };
    let Some(parameters) = data.attributes().find(number) else { return Ok(action) };
    let parameters = structure(&parameters, 20)?;
    action.control = control(parameters.i32(8).unwrap_or(-1));
    match action.kind.as_str() {
        "gact" => chance(&data, &mut action)?,
        "mirred" => mirred(parameters, &mut action),
        "bpf" => {
            if let Some(id) = data.attributes().find(9) {
                action.options.insert("prog_id".into(), id.u32()?.to_string());
            }
        }
        _ => {}
    }
    Ok(action)
}

/// TC_ACT_*.
fn control(action: i32) -> String {
    let word = match action {
        -1 => "unspec",
        0 => "ok",
        1 => "reclassify",
        2 => "shot",
        3 => "pipe",
        4 => "stolen",
        5 => "queued",
        6 => "repeat",
        7 => "redirect",
        8 => "trap",
        // The upper bits tell, the lower 28 are an argument.
        _ => match (action as u32) >> 28 {
            1 => return format!("jump {}", action & 0x0fff_ffff),
            2 => return format!("goto chain {}", action & 0x0fff_ffff),
            _ => return action.to_string(),
        },
    };
    word.to_owned()
}

/// TCA_GACT_PROB, `struct tc_gact_p` {u16 type, u16 value, i32 action}: another action now and then.
fn chance(data: &Attribute<'_>, action: &mut TcAction) -> Decoded<()> {
    let Some(attribute) = data.attributes().find(3) else { return Ok(()) };
    let chance = structure(&attribute, 8)?;
    let how = match chance.u16(0) {
        Some(1) => "random",
        Some(2) => "every",
        _ => return Ok(()),
    };
    action.options.insert("prob_type".into(), how.to_owned());
    action.options.insert("prob_value".into(), chance.u16(2).unwrap_or(0).to_string());
    action.options.insert("prob_control".into(), control(chance.i32(4).unwrap_or(-1)));
    Ok(())
}

/// `struct tc_mirred`: after `tc_gen` what is done (a redirection replaces the verdict) and to which device.
fn mirred(parameters: Fixed<'_>, action: &mut TcAction) {
    let (direction, redirects) = match parameters.i32(20) {
        Some(1) => ("egress", true),
        Some(2) => ("egress", false),
        Some(3) => ("ingress", true),
        Some(4) => ("ingress", false),
        _ => ("unknown", false),
    };
    if redirects {
        action.control = "redirect".to_owned();
    }
    action.options.insert("direction".into(), direction.to_owned());
    action.options.insert("dev".into(), parameters.u32(24).unwrap_or(0).to_string());
}

/// TCA_POLICE_TBF, `struct tc_police` {index, action, limit, burst, mtu, rate ...}; TCA_POLICE_RESULT is what
/// meets the packets within the rate.
fn police(data: &Attribute<'_>, action: &mut TcAction) -> Decoded<()> {
    for attribute in data.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            1 => {
                let police = structure(&attribute, 32)?;
                action.control = control(police.i32(4).unwrap_or(-1));
                let rate = police.u32(28).unwrap_or(0);
                action.options.entry("rate_bytes".into()).or_insert_with(|| rate.to_string());
                let ticks = police.u32(12).unwrap_or(0);
                let burst = super::options::burst(rate.into(), ticks);
                action.options.insert("burst_bytes".into(), burst.to_string());
            }
            5 => {
                action.options.insert("conform".into(), control(attribute.u32()? as i32));
            }
            8 => {
                action.options.insert("rate_bytes".into(), attribute.u64()?.to_string());
            }
            _ => {}
        }
    }
    Ok(())
}
