//! `nft -j list`: the ruleset in libnftables' JSON. Statements come from the rules' own words, so that text and
//! JSON cannot say different things.

use std::io::Write;

use netwhy_facts::nft::{Expr, NftChain, NftFlowtable, NftObject, NftObjectDetail, NftSet, NftTable};
use netwhy_walk::{SetWriter, proto_name, rule_text_styled, type_words};
use serde_json::{Map, Value, json};

use super::list::{Lister, What, flag_words, object_word};
use super::style;
use super::syntax;

/// What depends on the table's family: the kind of refusal that `reject` alone stands for.
pub(super) fn finish(family: &str, mut statements: Vec<Value>) -> Vec<Value> {
    for statement in &mut statements {
        if let Some(reject) = statement.get_mut("reject")
            && reject.is_null()
        {
            let kind = match family {
                "ip" => "icmp",
                "ip6" => "icmpv6",
                _ => "icmpx",
            };
            *reject = json!({ "type": kind, "expr": "port-unreachable" });
        }
    }
    statements
}

/// Writes one object after the other, so that a large ruleset is never held as JSON.
struct Items<'a> {
    out: &'a mut dyn Write,
}

impl Items<'_> {
    fn put(&mut self, kind: &str, value: Value) -> std::io::Result<()> {
        let mut object = Map::new();
        object.insert(kind.to_owned(), value);
        write!(self.out, ", {}", Value::Object(object))
    }
}

pub(super) fn write(lister: &Lister<'_>, out: &mut dyn Write) -> std::io::Result<()> {
    let version = r#"{"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}"#;
    write!(out, "{version}")?;
    let mut items = Items { out };
    let what = lister.wanted.what;
    let whole = matches!(what, What::Ruleset | What::Table);
    let nft = &lister.listing.nft;
    for of in nft.tables.iter().filter(|one| lister.wanted.table(one.family, &one.name)) {
        let here = |family, name: &str| family == of.family && name == of.name;
        if whole || what == What::Tables {
            items.put("table", table(of))?;
        }
        for object in nft.objects.iter().filter(|one| here(one.family, &one.table)) {
            let listed = match what {
                What::Objects(kind) | What::Object(kind) => {
                    object.obj_type == kind && lister.wanted.is_named(&object.name)
                }
                _ => whole,
            };
            if listed {
                items.put(object_word(object.obj_type), object_json(object))?;
            }
        }
        for (one, elements) in nft.sets.iter().zip(&lister.listing.elements) {
            if !here(one.family, &one.table) || !lister.wanted.set(one) {
                continue;
            }
            let (kind, mut value) = set(one);
            if let (Some(elements), Value::Object(all)) = (elements, &mut value)
                && !elements.is_empty()
            {
                let writer = SetWriter::new(one, &lister.style, !lister.options.stateless);
                let mut values = Vec::new();
                let mut iterator = elements.iter().peekable();
                while let Some(element) = iterator.next() {
                    if let Some(text) = writer.element(&element, iterator.peek()) {
                        values.push(element_json(&text));
                    }
                }
                all.insert("elem".into(), Value::Array(values));
            }
            items.put(kind, value)?;
        }
        for one in nft.flowtables.iter().filter(|one| here(one.family, &one.table)) {
            let named =
                matches!(what, What::Flowtables | What::Flowtable) && lister.wanted.is_named(&one.name);
            if whole || named {
                items.put("flowtable", flowtable(one))?;
            }
        }
        let chains = nft.chains.iter().filter(|one| here(one.family, &one.table));
        let listed: Vec<&NftChain> = chains
            .filter(|one| {
                whole || what == What::Chains || (what == What::Chain && lister.wanted.is_named(&one.name))
            })
            .collect();
        for one in &listed {
            items.put("chain", chain(one))?;
        }
        if what == What::Chains {
            continue;
        }
        for one in listed {
            for rule in nft.rules_of(one.family, &one.table, &one.name) {
                let text = rule_text_styled(nft, rule, &lister.style, true);
                let mut value = json!({
                    "family": rule.family.name(),
                    "table": rule.table,
                    "chain": rule.chain,
                    "handle": rule.handle,
                });
                let Value::Object(all) = &mut value else { continue };
                if let Some(comment) = &rule.comment {
                    all.insert("comment".into(), json!(comment));
                }
                // A rule whose words are not JSON's stands as its text, as nft does with what it cannot express.
                let statements = match syntax::rule(&text) {
                    Ok((statements, _)) => finish(rule.family.name(), statements),
                    Err(_) => vec![json!(text)],
                };
                all.insert("expr".into(), Value::Array(statements));
                items.put("rule", value)?;
            }
        }
    }
    writeln!(items.out, "]}}")
}

fn element_json(text: &str) -> Value {
    let tokens = super::token::cut(&format!("{{ {text} }}"));
    let parsed = tokens.ok().and_then(|tokens| syntax::Reader::new(tokens).elements().ok());
    parsed.and_then(|mut all| all.pop()).unwrap_or_else(|| json!(text))
}

fn table(table: &NftTable) -> Value {
    let mut value = json!({ "family": table.family.name(), "name": table.name, "handle": table.handle });
    if let Value::Object(all) = &mut value {
        if table.flags & 1 != 0 {
            all.insert("flags".into(), json!("dormant"));
        }
        if let Some(comment) = &table.comment {
            all.insert("comment".into(), json!(comment));
        }
    }
    value
}

fn chain(chain: &NftChain) -> Value {
    let mut value = json!({
        "family": chain.family.name(),
        "table": chain.table,
        "name": chain.name,
        "handle": chain.handle,
    });
    if let (Value::Object(all), Some(hook)) = (&mut value, &chain.hook) {
        all.insert("type".into(), json!(chain.chain_type.as_deref().unwrap_or("filter")));
        all.insert("hook".into(), json!(style::hook(chain)));
        all.insert("prio".into(), json!(hook.priority));
        match hook.devices.as_slice() {
            [] => {}
            [only] => _ = all.insert("dev".into(), json!(only)),
            many => _ = all.insert("dev".into(), json!(many)),
        }
        all.insert("policy".into(), json!(if chain.policy == Some(0) { "drop" } else { "accept" }));
    }
    value
}

fn types(kind: u32) -> Value {
    let words = type_words(kind);
    let all: Vec<&str> = words.split(" . ").collect();
    if let [only] = all.as_slice() { json!(only) } else { json!(all) }
}

fn set(set: &NftSet) -> (&'static str, Value) {
    let mut all = Map::new();
    let mut put = |name: &str, value: Value| _ = all.insert(name.to_owned(), value);
    let more = set.more.as_deref();
    put("family", json!(set.family.name()));
    put("name", json!(set.name));
    put("table", json!(set.table));
    put("type", types(set.key_type));
    put("handle", json!(set.handle));
    if let Some(comment) = more.and_then(|more| more.comment.as_ref()) {
        put("comment", json!(comment));
    }
    let object = more.and_then(|more| more.obj_type).filter(|_| set.flags & 0x40 != 0);
    let data = object.map(|kind| object_word(kind).to_owned()).or_else(|| set.data_type.map(type_words));
    if let Some(data) = &data {
        put("map", json!(data));
    }
    if more.and_then(|more| more.policy) == Some(1) {
        put("policy", json!("memory"));
    }
    if let Some(size) = set.size.filter(|size| *size > 0 && set.flags & 0x2 == 0) {
        put("size", json!(size));
    }
    let mut flags = flag_words(set);
    if flags.is_empty() && set.flags & 0x10 != 0 {
        flags = vec!["timeout"];
    }
    // libnftables does not write this one.
    flags.retain(|flag| *flag != "dynamic");
    if !flags.is_empty() {
        put("flags", json!(flags));
    }
    if let Some(timeout) = set.timeout_ms.filter(|ms| *ms > 0) {
        put("timeout", json!(timeout / 1000));
    }
    if let Some(interval) = more.and_then(|more| more.gc_interval_ms).filter(|ms| *ms > 0) {
        put("gc-interval", json!(interval / 1000));
    }
    let statements: Vec<Value> = more.into_iter().flat_map(|more| &more.exprs).filter_map(stateful).collect();
    if !statements.is_empty() {
        put("stmt", Value::Array(statements));
    }
    (if data.is_some() { "map" } else { "set" }, Value::Object(all))
}

/// A statement of a set's declaration.
fn stateful(expr: &Expr) -> Option<Value> {
    Some(match expr {
        Expr::Counter { .. } => json!({ "counter": null }),
        Expr::Connlimit { count, over: true } => json!({ "ct count": { "val": count, "inv": true } }),
        Expr::Connlimit { count, over: false } => json!({ "ct count": { "val": count } }),
        Expr::Limit { .. } => {
            let text = format!("limit {}", netwhy_walk::limit_words(expr)?);
            syntax::rule(&text).ok()?.0.pop()?
        }
        Expr::Quota { bytes, over, .. } => {
            let text = format!("quota {}{}", if *over { "over " } else { "" }, super::list::size(*bytes));
            syntax::rule(&text).ok()?.0.pop()?
        }
        _ => return None,
    })
}

fn object_json(object: &NftObject) -> Value {
    let mut all = Map::new();
    let mut put = |name: &str, value: Value| _ = all.insert(name.to_owned(), value);
    put("family", json!(object.family.name()));
    put("name", json!(object.name));
    put("table", json!(object.table));
    put("handle", json!(object.handle));
    if let Some(comment) = &object.comment {
        put("comment", json!(comment));
    }
    let l3 = |number: &Option<u16>| match number {
        Some(2) => "ip",
        Some(10) => "ip6",
        _ => "inet",
    };
    match (&object.expr, &object.detail) {
        (Some(Expr::Counter { packets, bytes }), _) => {
            put("packets", json!(packets));
            put("bytes", json!(bytes));
        }
        (Some(Expr::Quota { bytes, consumed, over }), _) => {
            put("bytes", json!(bytes));
            put("used", json!(consumed));
            put("inv", json!(over));
        }
        (Some(limit @ Expr::Limit { burst, .. }), _) => {
            let text = format!("limit {}", netwhy_walk::limit_words(limit).unwrap_or_default());
            let parsed = syntax::rule(&text).ok().and_then(|(mut all, _)| all.pop());
            if let Some(Value::Object(inner)) =
                parsed.and_then(|mut value| value.get_mut("limit").map(Value::take))
            {
                for (name, value) in inner {
                    put(&name, value);
                }
            }
            if *burst == 5 {
                put("burst", json!(5));
            }
        }
        (Some(Expr::Synproxy { mss, wscale, flags }), _) => {
            put("mss", json!(mss));
            put("wscale", json!(wscale));
            let words: Vec<&str> = [(8, "timestamp"), (4, "sack-perm")]
                .iter()
                .filter(|(bit, _)| flags & bit != 0)
                .map(|(_, word)| *word)
                .collect();
            match words.as_slice() {
                [] => {}
                [only] => put("flags", json!(only)),
                many => put("flags", json!(many)),
            }
        }
        (_, Some(NftObjectDetail::CtHelper { helper, l3proto, l4proto })) => {
            put("type", json!(helper));
            put("protocol", json!(proto_name(*l4proto)));
            put("l3proto", json!(l3(l3proto)));
        }
        (_, Some(NftObjectDetail::CtTimeout { l3proto, l4proto, seconds })) => {
            put("protocol", json!(proto_name(*l4proto)));
            put("l3proto", json!(l3(l3proto)));
            let changed: Map<String, Value> = seconds
                .iter()
                .filter_map(|(state, seconds)| {
                    let (name, usual) = super::list::timeout_state(*l4proto, *state)?;
                    (*seconds != usual).then(|| (name.to_owned(), json!(seconds)))
                })
                .collect();
            put("policy", Value::Object(changed));
        }
        (_, Some(NftObjectDetail::CtExpect { l3proto, l4proto, dport, timeout_ms, size })) => {
            put("protocol", json!(proto_name(*l4proto)));
            put("dport", json!(dport));
            put("timeout", json!(timeout_ms));
            put("size", json!(size));
            put("l3proto", json!(l3(l3proto)));
        }
        (_, Some(NftObjectDetail::Secmark { context })) => put("context", json!(context)),
        _ => {}
    }
    Value::Object(all)
}

fn flowtable(flowtable: &NftFlowtable) -> Value {
    let devices = match flowtable.devices.as_slice() {
        [only] => json!(only),
        many => json!(many),
    };
    json!({
        "family": flowtable.family.name(),
        "name": flowtable.name,
        "table": flowtable.table,
        "handle": flowtable.handle,
        "hook": "ingress",
        "prio": flowtable.priority,
        "dev": devices,
    })
}
