//! An entry as XML (`-o xml`) and as JSON (`netwhy --json conntrack`).

use netwhy_facts::conntrack::{CtChange, CtExpect, CtListed, CtTuple};
use serde_json::{Map, Value, json};

use super::line::Extras;
use super::words;

/// What a document begins with.
pub(super) const HEAD: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";

/// The element `<flow>`, without a newline.
pub(super) fn entry(one: &CtListed, change: Option<CtChange>, extras: Extras, when: Option<i64>) -> String {
    let entry = &one.entry;
    let kind = match change {
        None => "",
        Some(CtChange::New) => " type=\"new\"",
        Some(CtChange::Update) => " type=\"update\"",
        Some(CtChange::Destroy) => " type=\"destroy\"",
    };
    let mut out = format!("<flow{kind}>");
    out.push_str(&direction("original", &entry.orig, one.orig_zone, one.orig_counters));
    out.push_str(&direction("reply", &entry.reply, one.reply_zone, one.reply_counters));
    out.push_str("<meta direction=\"independent\">");
    if let Some(state) = one.proto_state.and_then(|state| words::state(entry.orig.proto, state)) {
        out.push_str(&format!("<state>{state}</state>"));
    }
    let zone = one.zone.map(u32::from);
    for (name, value) in
        [("timeout", one.timeout_s), ("mark", one.mark), ("zone", zone), ("use", one.uses), ("id", one.id)]
    {
        if let Some(value) = value {
            out.push_str(&format!("<{name}>{value}</{name}>"));
        }
    }
    if let Some(context) = &one.secctx {
        out.push_str(&format!("<secctx>{}</secctx>", escaped(context)));
    }
    for (set, element) in [
        (entry.status & words::ASSURED != 0, "<assured/>"),
        (entry.status & words::SEEN_REPLY == 0, "<unreplied/>"),
    ] {
        out.push_str(if set { element } else { "" });
    }
    if extras.stamps
        && let Some(start) = one.start_ns
    {
        out.push_str(&format!("<timestamp><start>{start}</start>"));
        if let Some(stop) = one.stop_ns {
            out.push_str(&format!("<stop>{stop}</stop>"));
        }
        out.push_str("</timestamp>");
    }
    if let Some(start) = one.start_ns {
        let end = one.stop_ns.map_or(extras.now_s, |stop| stop / 1_000_000_000);
        out.push_str(&format!("<deltatime>{}</deltatime>", end.saturating_sub(start / 1_000_000_000)));
    }
    out.push_str("</meta>");
    if let Some(helper) = &one.helper {
        out.push_str(&format!("<helper>{}</helper>", escaped(helper)));
    }
    out.push_str(&moment(when));
    out.push_str("</flow>");
    out
}

/// The element `<when>` of a moment in seconds since 1970.
fn moment(when: Option<i64>) -> String {
    let Some(when) = when else { return String::new() };
    let pattern = "<when><hour>%-H</hour><min>%-M</min><sec>%-S</sec><wday>%w</wday><day>%-d</day>\
                   <month>%-m</month><year>%Y</year></when>";
    // The original counts the days of the week from 1.
    let text = netwhy_sys::clock::local_time(when, pattern).unwrap_or_default();
    match text.split_once("<wday>").and_then(|(head, rest)| Some((head, rest.split_once('<')?))) {
        Some((head, (day, tail))) => {
            format!("{head}<wday>{}<{tail}", day.parse::<u8>().map_or(0, |day| day.saturating_add(1)))
        }
        None => text,
    }
}

fn direction(name: &str, tuple: &CtTuple, zone: Option<u16>, counters: Option<(u64, u64)>) -> String {
    let mut out = format!(
        "<meta direction=\"{name}\">{}<src>{}</src><dst>{}</dst></layer3><layer4 protonum=\"{}\" protoname=\"{}\">",
        layer3(tuple),
        tuple.src,
        tuple.dst,
        tuple.proto,
        words::protocol(tuple.proto)
    );
    if words::has_ports(tuple.proto) {
        out.push_str(&format!("<sport>{}</sport><dport>{}</dport>", tuple.sport, tuple.dport));
    } else if tuple.proto == 47 {
        out.push_str(&format!("<srckey>0x{:x}</srckey><dstkey>0x{:x}</dstkey>", tuple.sport, tuple.dport));
    }
    out.push_str("</layer4>");
    if let Some(zone) = zone {
        out.push_str(&format!("<zone>{zone}</zone>"));
    }
    if let Some((packets, bytes)) = counters {
        out.push_str(&format!("<counters><packets>{packets}</packets><bytes>{bytes}</bytes></counters>"));
    }
    out.push_str("</meta>");
    out
}

fn layer3(tuple: &CtTuple) -> &'static str {
    if tuple.src.is_ipv4() {
        "<layer3 protonum=\"2\" protoname=\"ipv4\">"
    } else {
        "<layer3 protonum=\"10\" protoname=\"ipv6\">"
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An expectation, without a newline.
pub(super) fn expect(one: &CtExpect, when: Option<i64>) -> String {
    let addresses = |name: &str, tuple: &CtTuple| {
        format!("<{name}><src>{}</src><dst>{}</dst></{name}>", tuple.src, tuple.dst)
    };
    let ports = |name: &str, tuple: &CtTuple| {
        format!("<{name}><sport>{}</sport><dport>{}</dport></{name}>", tuple.sport, tuple.dport)
    };
    let parts = [("expected", &one.tuple), ("mask", &one.mask), ("master", &one.master)];
    let mut out = format!("<flow>{}", layer3(&one.tuple));
    parts.iter().for_each(|(name, tuple)| out.push_str(&addresses(name, tuple)));
    out.push_str(&format!(
        "</layer3><layer4 protonum=\"{}\" protoname=\"{}\">",
        one.tuple.proto,
        words::protocol(one.tuple.proto)
    ));
    parts.iter().for_each(|(name, tuple)| out.push_str(&ports(name, tuple)));
    out.push_str("</layer4><meta>");
    if let Some(helper) = &one.helper {
        out.push_str(&format!("<helper-name>{}</helper-name>", escaped(helper)));
    }
    if let Some(timeout) = one.timeout_s {
        out.push_str(&format!("<timeout>{timeout}</timeout>"));
    }
    out.push_str(&format!("<class>{}</class>{}</meta></flow>", one.class, moment(when)));
    out
}

/// The entry as one JSON object. Times are seconds, stamps nanoseconds since 1970.
pub(super) fn object(one: &CtListed, change: Option<CtChange>) -> Value {
    let entry = &one.entry;
    let mut all = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            all.insert(name.to_owned(), value);
        }
    };
    put("event", change.map_or(Value::Null, |change| json!(change)));
    put("family", json!(if entry.orig.src.is_ipv4() { "ipv4" } else { "ipv6" }));
    put("proto", json!(words::protocol(entry.orig.proto)));
    put("protonum", json!(entry.orig.proto));
    put("state", json!(one.proto_state.and_then(|state| words::state(entry.orig.proto, state))));
    put("timeout", json!(one.timeout_s));
    put("original", tuple(&entry.orig, one.orig_zone, one.orig_counters));
    put("reply", tuple(&entry.reply, one.reply_zone, one.reply_counters));
    put("status", json!(words::status(entry.status).split(',').collect::<Vec<_>>()));
    put("snat", json!(entry.is_snat()));
    put("dnat", json!(entry.is_dnat()));
    put("mark", json!(one.mark));
    put("zone", json!(one.zone));
    put("use", json!(one.uses));
    put("id", json!(one.id));
    put("start_ns", json!(one.start_ns));
    put("stop_ns", json!(one.stop_ns));
    put("helper", json!(one.helper));
    put("secctx", json!(one.secctx));
    Value::Object(all)
}

fn tuple(tuple: &CtTuple, zone: Option<u16>, counters: Option<(u64, u64)>) -> Value {
    let mut out = json!({"src": tuple.src, "dst": tuple.dst});
    let Value::Object(all) = &mut out else { return out };
    match tuple.proto {
        1 | 58 => {
            let [kind, code] = tuple.dport.to_be_bytes();
            all.extend([("type", json!(kind)), ("code", json!(code)), ("id", json!(tuple.sport))].map(named));
        }
        47 => all.extend([("srckey", json!(tuple.sport)), ("dstkey", json!(tuple.dport))].map(named)),
        proto if words::has_ports(proto) => {
            all.extend([("sport", json!(tuple.sport)), ("dport", json!(tuple.dport))].map(named));
        }
        _ => {}
    }
    if let Some(zone) = zone {
        all.extend([("zone", json!(zone))].map(named));
    }
    if let Some((packets, bytes)) = counters {
        all.extend([("packets", json!(packets)), ("bytes", json!(bytes))].map(named));
    }
    out
}

fn named((name, value): (&str, Value)) -> (String, Value) {
    (name.to_owned(), value)
}
