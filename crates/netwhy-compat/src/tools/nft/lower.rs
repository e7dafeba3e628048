//! A rule's statements, as libnftables' JSON has them, into the kernel's expressions and the anonymous sets
//! they refer to.
//!
//! Longer than 1,000 lines because every statement reads and writes the one state of what the rule already
//! says about its packets' protocols.

use netwhy_change::nft::{ElementSpec, SetSpec};
use netwhy_facts::nft::{BitwiseOp, CmpOp, Data, Expr, NftFamily, NftVerdict, PayloadBase};
use netwhy_walk::text::parse::{NftType, nft_ct, nft_field, nft_header_proto, nft_meta};
use serde_json::Value;

/// The register that matches go through, and the next ones.
const REG: u32 = 1;
const REG_2: u32 = 2;
/// `NFT_SET_*`.
const ANONYMOUS: u32 = 0x1;
const CONSTANT: u32 = 0x2;
pub(super) const INTERVAL: u32 = 0x4;
pub(super) const MAP: u32 = 0x8;
/// `NFT_DATA_VERDICT`.
pub(super) const VERDICT: u32 = 0xffff_ff00;

/// A rule, made.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Made {
    pub(super) exprs: Vec<Expr>,
    /// Anonymous sets and their elements, by the numbers their names end in.
    pub(super) sets: Vec<(SetSpec, Vec<ElementSpec>)>,
}

impl Made {
    /// The numbers of the anonymous sets, in the order the rule's lookups refer to them.
    pub(super) fn set_ids(&self) -> Vec<u32> {
        self.sets.iter().map(|(spec, _)| spec.id).collect()
    }
}

/// Makes rules of one table.
pub(super) struct Maker<'a> {
    family: NftFamily,
    /// The index of a device.
    device: &'a dyn Fn(&str) -> Option<u32>,
    made: Made,
    /// Numbers of sets that are taken.
    next_set: u32,
    network: Option<u8>,
    transport: Option<u8>,
    ether: bool,
}

type Result<T, E = String> = std::result::Result<T, E>;

fn unknown(value: &Value) -> String {
    format!("{value} is listed, but not made here")
}

/// What the left side of a relation leaves in the register.
struct Loaded {
    kind: NftType,
    /// For a part of the bytes: where it begins from the lowest bit, and its bits.
    shift: u32,
    bits: u32,
    len: usize,
}

impl<'a> Maker<'a> {
    pub(super) fn new(family: NftFamily, device: &'a dyn Fn(&str) -> Option<u32>, next_set: u32) -> Self {
        let network = match family {
            NftFamily::Ip => Some(2),
            NftFamily::Ip6 => Some(10),
            _ => None,
        };
        let ether = family == NftFamily::Bridge;
        Maker { family, device, made: Made::default(), next_set, network, transport: None, ether }
    }

    pub(super) fn make(mut self, statements: &[Value]) -> Result<Made> {
        for statement in statements {
            self.statement(statement)?;
        }
        Ok(self.made)
    }

    fn push(&mut self, expr: Expr) {
        self.made.exprs.push(expr);
    }

    fn compare(&mut self, op: CmpOp, data: Vec<u8>) {
        self.push(Expr::Cmp { op, sreg: REG, data });
    }

    fn statement(&mut self, statement: &Value) -> Result<()> {
        let Some((name, body)) = statement.as_object().and_then(|object| object.iter().next()) else {
            return Err(unknown(statement));
        };
        if let Some(verdict) = verdict(name, body) {
            self.push(Expr::Immediate { dreg: 0, data: Data::Verdict(verdict) });
            return Ok(());
        }
        let text = |field: &str| body.get(field).and_then(Value::as_str);
        let number = |field: &str| body.get(field).and_then(Value::as_u64);
        let inverted = body.get("inv").and_then(Value::as_bool).unwrap_or(false);
        match name.as_str() {
            "match" => return self.relation(body),
            "vmap" => {
                let key = body.get("key").ok_or_else(|| unknown(body))?;
                let loaded = self.load(key)?;
                let set = self.set(&loaded, body.get("data").unwrap_or(&Value::Null), true)?;
                self.push(Expr::Lookup { set, sreg: REG, dreg: Some(0), invert: false });
            }
            "counter" => match body {
                Value::String(name) => self.push(Expr::Objref { obj_type: 1, name: name.clone() }),
                Value::Object(object) if object.contains_key("map") => return Err(unknown(statement)),
                body => self.push(Expr::Counter {
                    packets: body.get("packets").and_then(Value::as_u64).unwrap_or(0),
                    bytes: body.get("bytes").and_then(Value::as_u64).unwrap_or(0),
                }),
            },
            "quota" => match body {
                Value::String(name) => self.push(Expr::Objref { obj_type: 2, name: name.clone() }),
                _ => {
                    let expr = quota(body).ok_or_else(|| unknown(statement))?;
                    self.push(expr);
                }
            },
            "limit" => match body {
                Value::String(name) => self.push(Expr::Objref { obj_type: 4, name: name.clone() }),
                _ => {
                    let expr = limit(body).ok_or_else(|| unknown(statement))?;
                    self.push(expr);
                }
            },
            "ct helper" => self.object(3, body)?,
            "ct timeout" => self.object(7, body)?,
            "ct expectation" => self.object(9, body)?,
            "synproxy" if body.is_string() => self.object(10, body)?,
            "ct count" => {
                let count = number("val").and_then(|count| u32::try_from(count).ok());
                self.push(Expr::Connlimit {
                    count: count.ok_or_else(|| unknown(statement))?,
                    over: inverted,
                });
            }
            "log" => {
                let expr = log(body)?;
                self.push(expr);
            }
            "reject" => self.reject(body)?,
            "mangle" => self.mangle(body)?,
            "snat" | "dnat" => self.nat(name, body)?,
            "masquerade" | "redirect" => {
                let ports = match body.get("port") {
                    None => (None, None),
                    Some(port) => {
                        let (low, high) = self.ports(port, REG)?;
                        (Some(low), high)
                    }
                };
                let mut flags = nat_flags(body)?;
                if ports.0.is_some() {
                    flags |= 2;
                }
                self.push(if name == "masquerade" {
                    Expr::Masq { flags, proto_min: ports.0, proto_max: ports.1 }
                } else {
                    Expr::Redir { flags, proto_min: ports.0, proto_max: ports.1 }
                });
            }
            "queue" => {
                let (low, high) = match body.get("num") {
                    None => (0, 0),
                    Some(Value::Number(one)) => (one.as_u64().unwrap_or(0), one.as_u64().unwrap_or(0)),
                    Some(range) => {
                        let pair = range.get("range").ok_or_else(|| unknown(statement))?;
                        let end = |at: usize| pair.get(at).and_then(Value::as_u64).unwrap_or(0);
                        (end(0), end(1))
                    }
                };
                let mut flags = 0;
                for word in words(body.get("flags")) {
                    flags |= match word {
                        "bypass" => 1,
                        "fanout" => 2,
                        _ => return Err(unknown(statement)),
                    };
                }
                let small = |number: u64| u16::try_from(number).map_err(|_| unknown(statement));
                let (num, total) = (small(low)?, small(high.saturating_sub(low) + 1)?);
                self.push(Expr::Queue { num, total, flags, sreg: None });
            }
            "notrack" => self.push(Expr::Notrack),
            "flow" => {
                let table = text("flowtable").unwrap_or("").trim_start_matches('@').to_owned();
                self.push(Expr::FlowOffload { table });
            }
            "set" => self.dynset(body)?,
            _ => return Err(unknown(statement)),
        }
        Ok(())
    }

    fn object(&mut self, obj_type: u32, name: &Value) -> Result<()> {
        let name = name.as_str().ok_or_else(|| unknown(name))?.to_owned();
        self.push(Expr::Objref { obj_type, name });
        Ok(())
    }

    /// Only this network protocol from here on, where the table has more than one.
    fn need_network(&mut self, number: u8) -> Result<()> {
        match self.network {
            Some(known) if known == number => return Ok(()),
            Some(_) => return Err("the rule asks for IPv4 and IPv6 at once".into()),
            None => {}
        }
        self.network = Some(number);
        match self.family {
            NftFamily::Inet => {
                self.push(Expr::Meta { key: 15, dreg: REG });
                self.compare(CmpOp::Eq, vec![number]);
            }
            _ => {
                let ethertype: u16 = if number == 2 { 0x0800 } else { 0x86dd };
                self.push(Expr::Meta { key: 1, dreg: REG });
                self.compare(CmpOp::Eq, ethertype.to_be_bytes().to_vec());
            }
        }
        Ok(())
    }

    fn need_transport(&mut self, number: u8) -> Result<()> {
        match self.transport {
            Some(known) if known == number => return Ok(()),
            Some(_) => return Err("the rule asks for two transport protocols at once".into()),
            None => {}
        }
        self.transport = Some(number);
        self.push(Expr::Meta { key: 16, dreg: REG });
        self.compare(CmpOp::Eq, vec![number]);
        Ok(())
    }

    fn need_ether(&mut self) {
        if !self.ether {
            self.ether = true;
            self.push(Expr::Meta { key: 8, dreg: REG });
            self.compare(CmpOp::Eq, 1_u16.to_ne_bytes().to_vec());
        }
    }

    /// Loads the left side into the first register.
    fn load(&mut self, left: &Value) -> Result<Loaded> {
        self.load_into(left, REG)
    }

    fn load_into(&mut self, left: &Value, dreg: u32) -> Result<Loaded> {
        let text = |of: &Value, field: &str| of.get(field).and_then(Value::as_str).map(str::to_owned);
        if let Some(meta) = left.get("meta") {
            let key = text(meta, "key").unwrap_or_default();
            let (key, kind) = nft_meta(&key).ok_or_else(|| unknown(left))?;
            self.push(Expr::Meta { key, dreg });
            return Ok(Loaded::whole(kind));
        }
        if let Some(ct) = left.get("ct") {
            let name = text(ct, "key").unwrap_or_default();
            let (key, kind) = nft_ct(&name).ok_or_else(|| unknown(left))?;
            let dir = match text(ct, "dir").as_deref() {
                None => None,
                Some("original") => Some(0),
                Some(_) => Some(1),
            };
            self.push(Expr::Ct { key, dir, dreg });
            return Ok(Loaded::whole(kind));
        }
        if let Some(payload) = left.get("payload") {
            return self.payload(payload, dreg);
        }
        if let Some(fib) = left.get("fib") {
            let mut flags = 0;
            for word in words(fib.get("flags")) {
                flags |= match word {
                    "saddr" => 1,
                    "daddr" => 2,
                    "mark" => 4,
                    "iif" => 8,
                    "oif" => 16,
                    _ => return Err(unknown(left)),
                };
            }
            let (result, kind) = match fib.get("result").and_then(Value::as_str) {
                Some("oif") => (1, nft_meta("oif")),
                Some("oifname") => (2, nft_meta("oifname")),
                _ => (3, netwhy_walk::text::parse::nft_type("fib_addrtype")),
            };
            let (_, kind) = kind.ok_or_else(|| unknown(left))?;
            self.push(Expr::Fib { dreg, result, flags });
            return Ok(Loaded::whole(kind));
        }
        Err(unknown(left))
    }

    fn payload(&mut self, payload: &Value, dreg: u32) -> Result<Loaded> {
        let number =
            |field: &str| payload.get(field).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        if let Some(base) = payload.get("base").and_then(Value::as_str) {
            let base = match base {
                "ll" => PayloadBase::Link,
                "nh" => PayloadBase::Network,
                _ => PayloadBase::Transport,
            };
            let (at, bits) = (number("offset").unwrap_or(0), number("len").unwrap_or(0));
            if at % 8 != 0 || bits % 8 != 0 || bits == 0 || bits > 64 {
                return Err("raw payload is matched in whole bytes, up to eight".into());
            }
            self.push(Expr::Payload { base, offset: at / 8, len: bits / 8, dreg });
            let (_, kind) = netwhy_walk::text::parse::nft_meta("length").ok_or("no kind")?;
            let len = (bits / 8) as usize;
            // Numbers of the wire: big endian.
            let wire = nft_field("tcp", "sequence").map_or(kind, |field| field.kind);
            return Ok(Loaded { kind: wire.with_len(len), shift: 0, bits, len });
        }
        let header = payload.get("protocol").and_then(Value::as_str).unwrap_or("");
        let name = payload.get("field").and_then(Value::as_str).unwrap_or("");
        let field = nft_field(header, name).ok_or_else(|| format!("{header} has no field {name} here"))?;
        match header {
            "ip" => self.need_network(2)?,
            "ip6" => self.need_network(10)?,
            "icmp" | "igmp" => {
                self.need_network(2)?;
                self.need_transport(if header == "icmp" { 1 } else { 2 })?;
            }
            "icmpv6" => {
                self.need_network(10)?;
                self.need_transport(58)?;
                if name == "mtu" {
                    // Only this message has it.
                    self.push(Expr::Payload { base: PayloadBase::Transport, offset: 0, len: 1, dreg: REG });
                    self.compare(CmpOp::Eq, vec![2]);
                }
            }
            "ether" => self.need_ether(),
            "arp" if self.family != NftFamily::Arp => {
                return Err("arp fields belong to arp tables here".into());
            }
            "arp" | "th" => {}
            "vlan" => {
                self.need_ether();
                self.push(Expr::Payload { base: PayloadBase::Link, offset: 12, len: 2, dreg: REG });
                self.compare(CmpOp::Eq, vec![0x81, 0]);
            }
            header => {
                let proto = nft_header_proto(header).ok_or_else(|| unknown(payload))?;
                self.need_transport(proto)?;
            }
        }
        let first = field.at / 8;
        let end = (field.at + field.bits).div_ceil(8);
        let len = end - first;
        self.push(Expr::Payload { base: field.base, offset: first, len, dreg });
        let shift = end * 8 - field.at - field.bits;
        let loaded = Loaded { kind: field.kind, shift, bits: field.bits, len: len as usize };
        if loaded.bits != len * 8 {
            let mask = loaded.place((1_u64 << field.bits) - 1);
            let xor = vec![0; mask.len()];
            self.push(Expr::Bitwise { sreg: dreg, dreg, len, op: BitwiseOp::MaskXor { mask, xor } });
        }
        Ok(loaded)
    }

    fn relation(&mut self, body: &Value) -> Result<()> {
        let (Some(left), Some(right)) = (body.get("left"), body.get("right")) else {
            return Err(unknown(body));
        };
        let op = body.get("op").and_then(Value::as_str).unwrap_or("==");
        let cmp = match op {
            "==" | "in" => CmpOp::Eq,
            "!=" => CmpOp::Neq,
            "<" => CmpOp::Lt,
            "<=" => CmpOp::Lte,
            ">" => CmpOp::Gt,
            ">=" => CmpOp::Gte,
            "!" => CmpOp::Eq,
            _ => return Err(unknown(body)),
        };
        if let Some(parts) = left.get("concat").and_then(Value::as_array) {
            return self.concat(parts, right, cmp);
        }
        // `X & MASK == VALUE`.
        if let Some(pair) = left.get("&").and_then(Value::as_array) {
            let [inner, mask] = pair.as_slice() else { return Err(unknown(left)) };
            let loaded = self.load(inner)?;
            let mask = self.bits(&loaded, mask)?;
            self.mask(&loaded, mask);
            let data = self.bits(&loaded, right)?;
            self.compare(cmp, data);
            return Ok(());
        }
        if left.get("fib").is_some() && right.is_boolean() {
            let loaded = self.load(left)?;
            if let Some(Expr::Fib { flags, .. }) = self.made.exprs.last_mut() {
                // NFTA_FIB_F_PRESENT: only whether there is a route.
                *flags |= 32;
            }
            debug_assert!(loaded.kind.is_device_index() || loaded.kind.is_name());
            self.compare(cmp, u32::from(right == &Value::Bool(true)).to_ne_bytes().to_vec());
            return Ok(());
        }
        let loaded = self.load(left)?;
        // Bits: any of them is enough, unless the whole value is compared.
        if loaded.kind.is_flags() && matches!(op, "in" | "!") {
            let mask = self.bits(&loaded, right)?;
            let zero = vec![0; mask.len()];
            self.mask(&loaded, mask);
            self.compare(if op == "!" { CmpOp::Eq } else { CmpOp::Neq }, zero);
            return Ok(());
        }
        if let Some(pair) = right.get("range").and_then(Value::as_array) {
            let [from, to] = pair.as_slice() else { return Err(unknown(right)) };
            let (from, to) = (self.scalar(&loaded, from)?, self.scalar(&loaded, to)?);
            self.order(&loaded);
            let (from, to) = (big_endian(&loaded, from), big_endian(&loaded, to));
            if cmp == CmpOp::Neq {
                self.push(Expr::Range { negate: true, sreg: REG, from, to });
            } else {
                self.compare(CmpOp::Gte, from);
                self.compare(CmpOp::Lte, to);
            }
            return Ok(());
        }
        if let Some(prefix) = right.get("prefix") {
            let length = prefix.get("len").and_then(Value::as_u64).unwrap_or(0);
            let address = self.scalar(&loaded, prefix.get("addr").unwrap_or(&Value::Null))?;
            let mask = prefix_mask(address.len(), length);
            let masked = address.iter().zip(&mask).map(|(byte, mask)| byte & mask).collect();
            self.mask(&loaded, mask);
            self.compare(cmp, masked);
            return Ok(());
        }
        let named = right.as_str().is_some_and(|text| text.starts_with('@'));
        if right.get("set").is_some() || named {
            let set = self.set(&loaded, right, false)?;
            self.push(Expr::Lookup { set, sreg: REG, dreg: None, invert: cmp == CmpOp::Neq });
            return Ok(());
        }
        let mut data = self.bits(&loaded, right)?;
        if matches!(cmp, CmpOp::Lt | CmpOp::Lte | CmpOp::Gt | CmpOp::Gte) {
            self.order(&loaded);
            data = big_endian(&loaded, data);
        }
        if loaded.kind.is_name()
            && let Some(beginning) = right.as_str().and_then(|text| text.strip_suffix('*'))
        {
            data = beginning.as_bytes().to_vec();
        }
        self.note(left, cmp, &data);
        self.compare(cmp, data);
        Ok(())
    }

    /// What an equality says about later headers.
    fn note(&mut self, left: &Value, cmp: CmpOp, data: &[u8]) {
        if cmp != CmpOp::Eq {
            return;
        }
        let meta = left.get("meta").and_then(|meta| meta.get("key")).and_then(Value::as_str);
        let payload = left.get("payload").and_then(|payload| payload.get("field")).and_then(Value::as_str);
        match (meta, payload, data) {
            (Some("l4proto"), _, [number]) | (_, Some("protocol" | "nexthdr"), [number]) => {
                self.transport = Some(*number);
            }
            (Some("nfproto"), _, [number]) => self.network = Some(*number),
            (Some("protocol"), _, [0x08, 0x00]) | (_, Some("type"), [0x08, 0x00]) => self.network = Some(2),
            (Some("protocol"), _, [0x86, 0xdd]) | (_, Some("type"), [0x86, 0xdd]) => self.network = Some(10),
            _ => {}
        }
    }

    fn mask(&mut self, loaded: &Loaded, mask: Vec<u8>) {
        let xor = vec![0; mask.len()];
        let len = u32::try_from(loaded.len).unwrap_or(0);
        self.push(Expr::Bitwise { sreg: REG, dreg: REG, len, op: BitwiseOp::MaskXor { mask, xor } });
    }

    /// Orders need numbers in network order.
    fn order(&mut self, loaded: &Loaded) {
        if loaded.kind.host_order() && matches!(loaded.len, 2 | 4 | 8) {
            let len = u32::try_from(loaded.len).unwrap_or(0);
            self.push(Expr::Byteorder { sreg: REG, dreg: REG, op: 1, len, size: len });
        }
    }

    /// One value of the left side's kind, at its place.
    fn scalar(&self, loaded: &Loaded, value: &Value) -> Result<Vec<u8>> {
        let text = match value {
            Value::Number(seconds) if loaded.kind.is_time() => {
                let ms = seconds.as_u64().and_then(|seconds| seconds.checked_mul(1000));
                ms.ok_or_else(|| unknown(value))?.to_string()
            }
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => u8::from(*flag).to_string(),
            _ => return Err(unknown(value)),
        };
        if loaded.kind.is_device_index()
            && let Some(index) = (self.device)(&text)
        {
            return loaded.kind.bytes_of(index.into()).ok_or_else(|| format!("{text} is no device"));
        }
        let text = if loaded.kind.is_name() { text.trim_end_matches('*').to_owned() } else { text };
        let bytes = loaded.kind.parse(&text).ok_or_else(|| format!("{text} does not fit here"))?;
        if loaded.bits == 0 || loaded.bits as usize == loaded.len * 8 {
            return Ok(bytes);
        }
        let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        if number >> loaded.bits != 0 {
            return Err(format!("{text} does not fit {} bits", loaded.bits));
        }
        Ok(loaded.place(number))
    }

    /// One value, or the bits of several.
    fn bits(&self, loaded: &Loaded, value: &Value) -> Result<Vec<u8>> {
        let Value::Array(all) = value else { return self.scalar(loaded, value) };
        let mut out = vec![0; loaded.len];
        for one in all {
            for (place, byte) in out.iter_mut().zip(self.scalar(loaded, one)?) {
                *place |= byte;
            }
        }
        Ok(out)
    }

    /// The name of the set a relation looks in: one that is there, or an anonymous one made for it.
    fn set(&mut self, loaded: &Loaded, value: &Value, verdicts: bool) -> Result<String> {
        if let Some(name) = value.as_str() {
            return Ok(name.trim_start_matches('@').to_owned());
        }
        let elements = value.get("set").and_then(Value::as_array).ok_or_else(|| unknown(value))?;
        let parse = |value: &Value| self.scalar(loaded, value);
        let (elements, interval) = interval_elements(elements, verdicts, &parse, loaded.len)?;
        let mut flags = ANONYMOUS | CONSTANT;
        if interval {
            flags |= INTERVAL;
        }
        if verdicts {
            flags |= MAP;
        }
        if interval && loaded.kind.host_order() {
            return Err("ranges of numbers in host order are not made in sets".into());
        }
        let spec = SetSpec {
            flags,
            key_type: loaded.kind.number(),
            key_len: u32::try_from(loaded.len).unwrap_or(0),
            data: verdicts.then_some((VERDICT, 0)),
            host_order: loaded.kind.host_order() || loaded.kind.is_name(),
            ..SetSpec::default()
        };
        Ok(self.anonymous(spec, elements))
    }

    fn anonymous(&mut self, mut spec: SetSpec, elements: Vec<ElementSpec>) -> String {
        self.next_set += 1;
        spec.id = self.next_set;
        let name = if spec.data.is_some() { "__map%d" } else { "__set%d" };
        spec.name = name.to_owned();
        self.made.sets.push((spec, elements));
        name.to_owned()
    }

    /// `A . B` compared with a set of concatenations.
    fn concat(&mut self, parts: &[Value], right: &Value, cmp: CmpOp) -> Result<()> {
        let mut fields = Vec::new();
        let mut reg = 8;
        // Which protocols the fields need is compared first: those comparisons use the same registers.
        for part in parts {
            self.load_into(part, reg)?;
            while let Some(Expr::Bitwise { .. }) = self.made.exprs.last() {
                self.made.exprs.pop();
            }
            self.made.exprs.pop();
        }
        for part in parts {
            let loaded = self.load_into(part, reg)?;
            reg += u32::try_from(loaded.len.div_ceil(4)).unwrap_or(1);
            fields.push(loaded);
        }
        let name = match right.as_str() {
            Some(name) => name.trim_start_matches('@').to_owned(),
            None => {
                let all = right.get("set").and_then(Value::as_array).ok_or_else(|| unknown(right))?;
                let mut elements = Vec::new();
                for one in all {
                    let values = one.get("concat").and_then(Value::as_array).ok_or_else(|| unknown(one))?;
                    let mut key = Vec::new();
                    for (loaded, value) in fields.iter().zip(values) {
                        key.extend(self.scalar(loaded, value)?);
                        key.resize(key.len().next_multiple_of(4), 0);
                    }
                    elements.push(ElementSpec { key, ..ElementSpec::default() });
                }
                let length: usize = fields.iter().map(|field| field.len.next_multiple_of(4)).sum();
                let spec = SetSpec {
                    flags: ANONYMOUS | CONSTANT,
                    key_type: fields.iter().fold(0, |sum, field| sum << 6 | field.kind.number()),
                    key_len: u32::try_from(length).unwrap_or(0),
                    ..SetSpec::default()
                };
                self.anonymous(spec, elements)
            }
        };
        self.push(Expr::Lookup { set: name, sreg: 8, dreg: None, invert: cmp == CmpOp::Neq });
        Ok(())
    }

    fn reject(&mut self, body: &Value) -> Result<()> {
        let kind = body.get("type").and_then(Value::as_str);
        let code = body.get("expr").and_then(Value::as_str).unwrap_or("port-unreachable");
        let of = |names: &[(&str, u8)]| {
            let known = names.iter().find(|(name, _)| *name == code);
            known
                .map(|(_, code)| *code)
                .ok_or_else(|| format!("{code} is no reason of {}", kind.unwrap_or("reject")))
        };
        let icmp = &[
            ("net-unreachable", 0),
            ("host-unreachable", 1),
            ("prot-unreachable", 2),
            ("port-unreachable", 3),
            ("net-prohibited", 9),
            ("host-prohibited", 10),
            ("admin-prohibited", 13),
        ];
        let icmpv6 = &[
            ("no-route", 0),
            ("admin-prohibited", 1),
            ("addr-unreachable", 3),
            ("port-unreachable", 4),
            ("policy-fail", 5),
            ("reject-route", 6),
        ];
        let icmpx =
            &[("no-route", 0), ("port-unreachable", 1), ("host-unreachable", 2), ("admin-prohibited", 3)];
        // Alone it answers in the protocol the rule already names.
        let kind = kind.unwrap_or(match self.network {
            Some(2) => "icmp",
            Some(10) => "icmpv6",
            _ => "icmpx",
        });
        let (reject_type, code) = match kind {
            "tcp reset" => {
                self.need_transport(6)?;
                (1, 0)
            }
            "icmp" => {
                self.need_network(2)?;
                (0, of(icmp)?)
            }
            "icmpv6" => {
                self.need_network(10)?;
                (0, of(icmpv6)?)
            }
            "icmpx" => (2, of(icmpx)?),
            _ => return Err(unknown(body)),
        };
        self.push(Expr::Reject { reject_type, code });
        Ok(())
    }

    /// A constant written into meta data or a connection.
    fn mangle(&mut self, body: &Value) -> Result<()> {
        let (Some(key), Some(value)) = (body.get("key"), body.get("value")) else {
            return Err(unknown(body));
        };
        let (name, of_ct) = match (key.get("meta"), key.get("ct")) {
            (Some(meta), _) => (meta.get("key"), false),
            (_, Some(ct)) => (ct.get("key"), true),
            _ => return Err("only meta data and connections are written to".into()),
        };
        let name = name.and_then(Value::as_str).unwrap_or("");
        let (number, kind) = if of_ct { nft_ct(name) } else { nft_meta(name) }.ok_or_else(|| unknown(key))?;
        let loaded = Loaded::whole(kind);
        if value.is_object() {
            self.load(value)?;
        } else {
            let data = self.bits(&loaded, value)?;
            self.push(Expr::Immediate { dreg: REG, data: Data::Value(data) });
        }
        self.push(if of_ct {
            let dir = match key.get("ct").and_then(|ct| ct.get("dir")).and_then(Value::as_str) {
                None => None,
                Some("original") => Some(0),
                Some(_) => Some(1),
            };
            Expr::CtSet { key: number, dir, sreg: REG }
        } else {
            Expr::MetaSet { key: number, sreg: REG }
        });
        Ok(())
    }

    fn nat(&mut self, name: &str, body: &Value) -> Result<()> {
        let address = body.get("addr");
        let first = address.and_then(|address| match address.get("range") {
            Some(pair) => pair.get(0).and_then(Value::as_str),
            None => address.as_str(),
        });
        let six = match (first, body.get("family").and_then(Value::as_str)) {
            (Some(text), _) => text.contains(':'),
            (None, Some(family)) => family == "ip6",
            (None, None) => self.network == Some(10),
        };
        let mut flags = nat_flags(body)?;
        let (mut addr_min, mut addr_max, mut proto_min, mut proto_max) = (None, None, None, None);
        if let Some(address) = address {
            let field = nft_field(if six { "ip6" } else { "ip" }, "saddr").ok_or("no field")?;
            let loaded = Loaded::whole(field.kind);
            let (low, high) = match address.get("range").and_then(Value::as_array) {
                Some(pair) => (pair.first(), pair.get(1)),
                None => (Some(address), None),
            };
            let low = self.scalar(&loaded, low.unwrap_or(&Value::Null))?;
            self.push(Expr::Immediate { dreg: REG, data: Data::Value(low) });
            addr_min = Some(REG);
            if let Some(high) = high {
                let high = self.scalar(&loaded, high)?;
                self.push(Expr::Immediate { dreg: REG_2, data: Data::Value(high) });
                addr_max = Some(REG_2);
            }
            flags |= 1;
        }
        if let Some(port) = body.get("port") {
            let (low, high) = self.ports(port, 3)?;
            (proto_min, proto_max) = (Some(low), high);
            flags |= 2;
        }
        let family = if six { 10 } else { 2 };
        self.push(Expr::Nat {
            nat_type: u32::from(name == "dnat"),
            family,
            addr_min,
            addr_max,
            proto_min,
            proto_max,
            // The kernel sets the two lowest by itself.
            flags: flags & !3,
        });
        Ok(())
    }

    /// A port or two into registers from `first`; ports need a transport protocol that has them.
    fn ports(&mut self, value: &Value, first: u32) -> Result<(u32, Option<u32>)> {
        let port = |value: &Value| {
            let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
            number.map(|number| number.to_be_bytes().to_vec()).ok_or_else(|| format!("{value} is no port"))
        };
        match value.get("range").and_then(Value::as_array) {
            Some(pair) => {
                let [low, high] = pair.as_slice() else { return Err(unknown(value)) };
                let (low, high) = (port(low)?, port(high)?);
                self.push(Expr::Immediate { dreg: first, data: Data::Value(low) });
                self.push(Expr::Immediate { dreg: first + 1, data: Data::Value(high) });
                Ok((first, Some(first + 1)))
            }
            None => {
                let low = port(value)?;
                self.push(Expr::Immediate { dreg: first, data: Data::Value(low) });
                Ok((first, None))
            }
        }
    }

    fn dynset(&mut self, body: &Value) -> Result<()> {
        let name = body.get("set").and_then(Value::as_str).unwrap_or("").trim_start_matches('@').to_owned();
        let elem = body.get("elem").ok_or_else(|| unknown(body))?;
        let (key, timeout) = match elem.get("elem") {
            Some(inner) => {
                (inner.get("val").unwrap_or(&Value::Null), inner.get("timeout").and_then(Value::as_u64))
            }
            None => (elem, None),
        };
        if key.get("concat").is_some() {
            return Err(unknown(body));
        }
        self.load(key)?;
        let mut exprs = Vec::new();
        for statement in body.get("stmt").and_then(Value::as_array).into_iter().flatten() {
            let inner = Maker::new(self.family, self.device, 0).make(std::slice::from_ref(statement))?;
            exprs.extend(inner.exprs);
        }
        let op = match body.get("op").and_then(Value::as_str) {
            Some("add") => 0,
            Some("update") => 1,
            _ => 2,
        };
        self.push(Expr::Dynset {
            set: name,
            op,
            key: REG,
            data: None,
            timeout_ms: timeout.map(|seconds| seconds * 1000),
            invert: false,
            exprs,
        });
        Ok(())
    }
}

impl Loaded {
    const fn whole(kind: NftType) -> Self {
        Loaded { kind, shift: 0, bits: 0, len: kind.len }
    }

    /// A number of the field's bits at its place in the bytes that were loaded.
    fn place(&self, number: u64) -> Vec<u8> {
        let bytes = (number << self.shift).to_be_bytes();
        bytes.get(8_usize.saturating_sub(self.len)..).unwrap_or(&[]).to_vec()
    }
}

fn big_endian(loaded: &Loaded, mut bytes: Vec<u8>) -> Vec<u8> {
    if loaded.kind.host_order() && cfg!(target_endian = "little") && matches!(loaded.len, 2 | 4 | 8) {
        bytes.reverse();
    }
    bytes
}

pub(super) fn prefix_mask(bytes: usize, length: u64) -> Vec<u8> {
    (0..bytes)
        .map(|at| {
            let ones = usize::try_from(length).unwrap_or(0).saturating_sub(at * 8).min(8);
            (0xff00_u32 >> ones).to_le_bytes()[0]
        })
        .collect()
}

/// The words of a value that is text, or a list of texts.
fn words(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A verdict by its word.
pub(super) fn verdict(name: &str, body: &Value) -> Option<NftVerdict> {
    let target = || body.get("target").and_then(Value::as_str).map(str::to_owned);
    Some(match name {
        "accept" => NftVerdict::Accept,
        "drop" => NftVerdict::Drop,
        "return" => NftVerdict::Return,
        "continue" => NftVerdict::Continue,
        "jump" => NftVerdict::Jump(target()?),
        "goto" => NftVerdict::Goto(target()?),
        _ => return None,
    })
}

fn unit(word: &str) -> Option<u64> {
    Some(match word {
        "bytes" => 1,
        "kbytes" => 1 << 10,
        "mbytes" => 1 << 20,
        "gbytes" => 1 << 30,
        _ => return None,
    })
}

/// A quota's expression.
pub(super) fn quota(body: &Value) -> Option<Expr> {
    let size = |value: &str, of: &str| {
        let number = body.get(value)?.as_u64()?;
        number.checked_mul(unit(body.get(of).and_then(Value::as_str).unwrap_or("bytes"))?)
    };
    Some(Expr::Quota {
        bytes: size("val", "val_unit")?,
        consumed: size("used", "used_unit").unwrap_or(0),
        over: body.get("inv").and_then(Value::as_bool).unwrap_or(false),
    })
}

fn limit(body: &Value) -> Option<Expr> {
    let number = |field: &str| body.get(field).and_then(Value::as_u64);
    let word = |field: &str| body.get(field).and_then(Value::as_str);
    let unit_s = match word("per")? {
        "second" => 1,
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        "week" => 604_800,
        _ => return None,
    };
    let per_packet = word("rate_unit").is_none();
    let scale = word("rate_unit").map_or(Some(1), unit)?;
    let burst = number("burst").unwrap_or(5);
    let burst =
        if per_packet { burst } else { burst.checked_mul(unit(word("burst_unit").unwrap_or("bytes"))?)? };
    Some(Expr::Limit {
        rate: number("rate")?.checked_mul(scale)?,
        unit_s,
        burst: u32::try_from(burst).ok()?,
        per_packet,
        over: body.get("inv").and_then(Value::as_bool).unwrap_or(false),
    })
}

fn log(body: &Value) -> Result<Expr> {
    let number = |field: &str| body.get(field).and_then(Value::as_u64);
    let levels = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"];
    let level = match body.get("level").and_then(Value::as_str) {
        None => None,
        Some(word) => {
            let known = levels.iter().position(|level| *level == word);
            Some(
                known
                    .and_then(|level| u32::try_from(level).ok())
                    .ok_or_else(|| format!("{word} is no level"))?,
            )
        }
    };
    let mut flags = 0;
    for word in words(body.get("flags")) {
        flags |= match word {
            "tcp sequence" => 1,
            "tcp options" => 2,
            "ip options" => 4,
            "skuid" => 8,
            "ether" => 32,
            "all" => 0x2f,
            other => return Err(format!("{other} is no flag of log")),
        };
    }
    let group = number("group").and_then(|group| u16::try_from(group).ok());
    Ok(Expr::Log {
        group,
        prefix: body.get("prefix").and_then(Value::as_str).unwrap_or("").to_owned(),
        snaplen: number("snaplen").and_then(|length| u32::try_from(length).ok()).unwrap_or(0),
        level: if group.is_some() { None } else { level },
        flags,
        queue_threshold: number("queue-threshold").and_then(|count| u16::try_from(count).ok()).unwrap_or(0),
    })
}

fn nat_flags(body: &Value) -> Result<u32> {
    let mut flags = 0;
    for word in words(body.get("flags")) {
        flags |= match word {
            "random" => 4,
            "persistent" => 8,
            "fully-random" => 16,
            other => return Err(format!("{other} is listed, but not made here")),
        };
    }
    Ok(flags)
}

/// Elements of a plain key: values, and for ranges and prefixes a first and one past the last. Says whether
/// there are ranges.
pub(super) fn interval_elements(
    elements: &[Value],
    verdicts: bool,
    parse: &dyn Fn(&Value) -> Result<Vec<u8>>,
    len: usize,
) -> Result<(Vec<ElementSpec>, bool)> {
    let mut spans: Vec<(Vec<u8>, Vec<u8>, ElementSpec)> = Vec::new();
    let mut interval = false;
    for element in elements {
        let (key, data) = match (element, verdicts) {
            (Value::Array(pair), _) => (pair.first().unwrap_or(&Value::Null), pair.get(1)),
            (one, _) => (one, None),
        };
        let mut spec = ElementSpec::default();
        let key = match key.get("elem") {
            Some(elem) => {
                spec.timeout_ms = elem.get("timeout").and_then(Value::as_u64).map(|seconds| seconds * 1000);
                spec.comment = elem.get("comment").and_then(Value::as_str).map(str::to_owned);
                elem.get("val").unwrap_or(&Value::Null)
            }
            None => key,
        };
        if let Some(data) = data {
            let named = data.as_object().and_then(|object| object.iter().next());
            let verdict = named.and_then(|(name, body)| verdict(name, body));
            spec.data = Some(Data::Verdict(verdict.ok_or_else(|| unknown(data))?));
        }
        let (from, to) = if let Some(pair) = key.get("range").and_then(Value::as_array) {
            interval = true;
            let end = |at: usize| parse(pair.get(at).unwrap_or(&Value::Null));
            (end(0)?, end(1)?)
        } else if let Some(prefix) = key.get("prefix") {
            interval = true;
            let address = parse(prefix.get("addr").unwrap_or(&Value::Null))?;
            let mask = prefix_mask(len, prefix.get("len").and_then(Value::as_u64).unwrap_or(0));
            let from: Vec<u8> = address.iter().zip(&mask).map(|(byte, mask)| byte & mask).collect();
            let to = from.iter().zip(&mask).map(|(byte, mask)| byte | !mask).collect();
            (from, to)
        } else {
            let one = parse(key)?;
            (one.clone(), one)
        };
        spans.push((from, to, spec));
    }
    Ok((spread(spans, interval), interval))
}

/// Spans as elements: where there are ranges, each has an end of its own.
pub(super) fn spread(mut spans: Vec<(Vec<u8>, Vec<u8>, ElementSpec)>, interval: bool) -> Vec<ElementSpec> {
    if interval {
        spans.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let mut out = Vec::new();
    for (from, to, spec) in spans {
        out.push(ElementSpec { key: from, ..spec });
        // The last value of all has nothing behind it.
        if interval && to.iter().any(|byte| *byte != 0xff) {
            let mut end = to;
            for byte in end.iter_mut().rev() {
                let (next, carry) = byte.overflowing_add(1);
                *byte = next;
                if !carry {
                    break;
                }
            }
            out.push(ElementSpec { key: end, interval_end: true, ..ElementSpec::default() });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use netwhy_facts::nft::{Nft, NftElem, NftRule, NftSet};

    use super::super::syntax;
    use super::*;

    /// Rules as nft 1.0.6 listed them, each as text and as JSON.
    const LISTED: &str = include_str!("../../../fixtures/nft-rules.json");

    /// What the kernel would list of the rule: its sets with the names it gives them.
    fn listed(family: NftFamily, mut made: Made) -> String {
        let mut nft = Nft::default();
        let mut names = Vec::new();
        for (at, (spec, elements)) in made.sets.iter().enumerate() {
            let name = format!("__set{at}");
            nft.sets.push(NftSet {
                family,
                table: "t".into(),
                name: name.clone(),
                flags: spec.flags,
                key_type: spec.key_type,
                key_len: spec.key_len,
                data_type: spec.data.map(|(kind, _)| kind),
                elements: elements
                    .iter()
                    .map(|one| NftElem {
                        key: one.key.clone(),
                        flags: u32::from(one.interval_end),
                        data: one.data.clone(),
                        ..NftElem::default()
                    })
                    .collect(),
                elements_read: true,
                ..NftSet::default()
            });
            names.push(name);
        }
        let mut names = names.into_iter();
        for expr in &mut made.exprs {
            if let Expr::Lookup { set, .. } = expr
                && set.ends_with("%d")
            {
                *set = names.next().unwrap();
            }
        }
        let rule = NftRule {
            family,
            table: "t".into(),
            chain: "c".into(),
            handle: 1,
            exprs: made.exprs,
            comment: None,
            compat: false,
        };
        netwhy_walk::rule_text(&nft, &rule)
    }

    #[test]
    fn rules_that_are_made_are_listed_as_they_were_written() {
        let all: Vec<(String, String, Value)> = serde_json::from_str(LISTED).unwrap();
        let (mut same, mut refused, mut wrong) = (0, 0, Vec::new());
        for (family, text, _) in &all {
            let family = super::super::list::family(family).unwrap();
            let (statements, comment) = syntax::rule(text).unwrap();
            // A concatenation looked up in a named set is told apart by the set's length, and there is no set here.
            if comment.is_some() || (text.contains(" . ") && text.contains(" @")) {
                continue;
            }
            match Maker::new(family, &|name| (name == "lo").then_some(1), 0).make(&statements) {
                Ok(made) => match listed(family, made) {
                    shown if shown == *text => same += 1,
                    shown => wrong.push(format!("{text}\n  {shown}")),
                },
                Err(_) => refused += 1,
            }
        }
        assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
        assert!(same > 260 && refused < 110, "{same} as written, {refused} refused");
    }

    #[test]
    fn what_is_not_made_is_refused_by_name() {
        for (text, named) in [
            ("tcp option maxseg size 5", "tcp option"),
            ("ip saddr fe80::1", "fe80::1"),
            ("tcp dport 70000", "70000"),
            ("ip saddr 1.2.3.4 ip6 saddr ::1", "IPv4 and IPv6"),
            ("udp dport 5 tcp dport 6", "two transport"),
        ] {
            let (statements, _) = syntax::rule(text).unwrap();
            let error = Maker::new(NftFamily::Inet, &|_| None, 0).make(&statements).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
