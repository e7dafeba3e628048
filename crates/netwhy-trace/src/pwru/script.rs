//! The script that follows packets, written for the points of this kernel.

use std::fmt::Write as _;

use super::Ask;
use super::census::{Event, Functions};

/// Registers of the first arguments.
const REGISTERS: [&str; 5] = if cfg!(target_arch = "aarch64") {
    ["r0", "r1", "r2", "r3", "r4"]
} else {
    ["di", "si", "dx", "cx", "r8"]
};
const COUNTER: &str = if cfg!(target_arch = "aarch64") { "pc" } else { "ip" };

/// A text as the language quotes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The whole script.
pub(crate) fn script(ask: &Ask, events: &[Event], functions: &Functions, has_reason: bool) -> String {
    let mut out = String::from(
        "config = { max_strlen = 256; print_maps_on_exit = false }\n\
         let @skbs = lruhash(32768);\nlet @heads = lruhash(32768);\nlet @content = lruhash(32768);\n",
    );
    for event in events {
        let freed = matches!(event.name.as_str(), "kfree_skb" | "consume_skb");
        let mut extra = format!("point: {}", quoted(&event.name));
        if event.name == "kfree_skb" && has_reason {
            extra.push_str(", reason: args.reason");
        }
        if event.name == "kfree_skb" {
            extra.push_str(", place: ksym((uint64)args.location)");
        }
        let _ = writeln!(out, "\nrawtracepoint:{}", event.name);
        body(&mut out, ask, &format!("args.{}", event.argument), &extra, freed);
    }
    for (list, register) in functions.iter().zip(REGISTERS) {
        if list.is_empty() {
            continue;
        }
        // Registers, not arguments: so that one program serves all places.
        let places: Vec<String> = list.iter().map(|name| format!("kprobe:{name}")).collect();
        let _ = writeln!(out, "\n{}", places.join(",\n"));
        let extra = format!("place: ksym(reg(\"{COUNTER}\"))");
        body(&mut out, ask, &format!("reg(\"{register}\")"), &extra, false);
    }
    out
}

/// What is done at each point with the packet `skb`.
fn body(out: &mut String, ask: &Ask, skb: &str, extra: &str, freed: bool) {
    let mut wanted = vec!["$id == 0".to_owned()];
    if !ask.expression.is_empty() {
        wanted.push(format!("filter($skb, {})", quoted(&ask.expression)));
    }
    if let Some(netns) = ask.netns {
        wanted.push(format!("$netns == {netns}"));
    }
    if let Some((mark, mask)) = ask.mark {
        wanted.push(format!("($skb->mark & {mask}) == {mark}"));
    }
    if let Some(device) = &ask.device {
        wanted.push(format!("$skb->dev->name == {}", quoted(device)));
    }
    let mut fields = String::new();
    if ask.skb {
        fields.push_str(
            ", data_len: $skb->data_len, priority: $skb->priority, hash: $skb->hash, queue: $skb->queue_mapping, \
             pkt_type: $skb->pkt_type, ip_summed: $skb->ip_summed, cloned: $skb->cloned, users: $skb->users.refs.counter, \
             truesize: $skb->truesize, headroom: (uint64)$skb->data - $head, skbaddr: $key, headaddr: $head",
        );
    }
    if ask.flags {
        fields.push_str(", flags: (uint64)*(uint8 *)($l4 + 13)");
    }
    if ask.stack || ask.caller {
        fields.push_str(", stack: kstack");
    }
    if ask.pcap {
        fields.push_str(", bytes: buf((uint8 *)$ip, 200)");
    }
    // The last one lets go of the data: what is there afterwards is another packet.
    let after = if freed {
        "\n      delete(@skbs, $key);\n      if ((*(uint32 *)($head + (uint64)$skb->end + offsetof(struct \
         skb_shared_info, dataref)) & 0xffff) <= 1) { delete(@heads, $head); }"
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "{{
  $skb = (struct sk_buff *){skb};
  if ($skb != 0) {{
    $key = (uint64)$skb;
    $head = (uint64)$skb->head;
    $at = (uint64)$skb->network_header;
    $ip = $at == 0 ? (uint64)$skb->data : $head + $at;
    $version = (uint64)*(uint8 *)$ip >> 4;
    $l4 = $version == 4 ? $ip + (uint64)(*(uint8 *)$ip & 15) * 4 : $ip + 40;
    $sum = (uint64)0;
    if ($version == 4 || $version == 6) {{
      $sum = *(uint64 *)($l4 + 4) ^ ((uint64)*(uint32 *)$l4 * 2654435761);
      if ($version == 4) {{ $sum = $sum ^ ((uint64)*(uint32 *)($ip + 4) << 32); }}
    }}
    $flow = flow($skb);
    // The place of the device is used for other things while a packet is in a socket's queue.
    $here = (uint64)$flow.netns >= 0xe0000000;
    $netns = (uint64)$flow.netns;
    if (!$here) {{ $netns = $skb->sk == 0 ? (uint64)0 : (uint64)$skb->sk->__sk_common.skc_net.net->ns.inum; }}
    $id = (uint64)0;
    $known = @skbs[$key];
    if ($known.0 != 0 && ($known.1 == $head || $known.2 == $sum)) {{ $id = $known.0; }}
    if ($id == 0 && $sum != 0) {{
      $same = @content[$sum];
      if ($same.0 != 0 && nsecs - $same.1 < 1000000000) {{ $id = $same.0; }}
    }}
    if ($id == 0) {{
      $shared = @heads[$head];
      if ($shared.0 != 0 && nsecs - $shared.1 < 200000000) {{ $id = $shared.0; }}
    }}
    if ({wanted}) {{ $id = nsecs; }}
    if ($id != 0) {{
      @skbs[$key] = ($id, $head, $sum);
      @heads[$head] = ($id, nsecs);
      if ($sum != 0) {{ @content[$sum] = ($id, nsecs); }}
      $length = $skb->len;
      $mark = $skb->mark;
      $proto = bswap($skb->protocol);
      emit(step, {{ts: nsecs, id: $id, cpu: cpu, pid: pid, comm: comm, netns: $netns, here: $here,
        dev: str($skb->dev->name), ifindex: $skb->dev->ifindex, mtu: $skb->dev->mtu, mark: $mark, len: $length,
        proto: $proto, flow: $flow, {extra}{fields}}});{after}
    }}
  }}
}}",
        wanted = wanted.join(" && "),
    );
}
