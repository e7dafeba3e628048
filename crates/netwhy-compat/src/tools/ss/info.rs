//! What a TCP or MPTCP socket says of itself (`ss -i`), in the words of ss(8).

use netwhy_facts::socket::TcpInfo;
use netwhy_wire::inet_diag::{Answer, attribute};
use netwhy_wire::netlink::{Attributes, Fixed};

use crate::write::{decimal, general, hex, named, text, thousandths};

/// `TCPI_OPT_*` in the order they are printed.
const OPTIONS: &[(u8, &str)] = &[(1, " ts"), (2, " sack"), (8, " ecn"), (16, " ecnseen"), (32, " fastopen")];
/// `TCPI_OPT_WSCALE`.
const WSCALE: u8 = 4;
/// The slow start threshold of a connection that has not lost anything yet.
const NO_THRESHOLD: u32 = 0x7fff_ffff;
/// TCP's own duplicate threshold: nothing was reordered.
const NO_REORDERING: u32 = 3;

/// Everything for `-i`; `options` for the words that only `-o` and `-e` show.
pub(super) fn tcp(out: &mut Vec<u8>, answer: &Answer<'_>, options: bool, exact: bool) {
    let info = answer.get(attribute::INFO).and_then(TcpInfo::from_kernel);
    let Some(info) = info else {
        if let Some(name) = answer.congestion() {
            out.push(b' ');
            out.extend_from_slice(name);
        }
        return;
    };
    if options {
        for (bit, word) in OPTIONS {
            if info.options & bit != 0 {
                text(out, word);
            }
        }
    }
    if let Some(name) = answer.congestion() {
        out.push(b' ');
        out.extend_from_slice(name);
    }
    if info.options & WSCALE != 0 {
        named(out, " wscale:", info.snd_wscale.into());
        named(out, ",", info.rcv_wscale.into());
    }
    // Three seconds is what a socket starts with before it has measured anything.
    if info.rto_us != 0 && info.rto_us != 3_000_000 {
        milli(out, " rto:", info.rto_us);
    }
    count(out, " backoff:", info.backoff.into());
    if info.rtt_us != 0 {
        milli(out, " rtt:", info.rtt_us);
        milli(out, "/", info.rttvar_us);
    }
    if info.ato_us != 0 {
        milli(out, " ato:", info.ato_us);
    }
    count(out, " mss:", info.snd_mss.into());
    count(out, " pmtu:", info.pmtu.into());
    count(out, " rcvmss:", info.rcv_mss.into());
    count(out, " advmss:", info.advmss.into());
    count(out, " cwnd:", info.snd_cwnd.into());
    if info.snd_ssthresh < NO_THRESHOLD {
        count(out, " ssthresh:", info.snd_ssthresh.into());
    }
    for (word, value) in [
        (" bytes_sent:", info.bytes_sent),
        (" bytes_retrans:", info.bytes_retrans),
        (" bytes_acked:", info.bytes_acked),
        (" bytes_received:", info.bytes_received),
    ] {
        count(out, word, value.unwrap_or(0));
    }
    for (word, value) in [
        (" segs_out:", info.segs_out),
        (" segs_in:", info.segs_in),
        (" data_segs_out:", info.data_segs_out),
        (" data_segs_in:", info.data_segs_in),
    ] {
        count(out, word, value.unwrap_or(0).into());
    }
    congestion(out, answer, exact);
    if info.rtt_us != 0 && info.snd_mss != 0 && info.snd_cwnd != 0 {
        let rate =
            f64::from(info.snd_cwnd) * f64::from(info.snd_mss) * 8.0 * 1_000_000.0 / f64::from(info.rtt_us);
        text(out, " send ");
        bandwidth(out, rate, exact);
    }
    count(out, " lastsnd:", info.last_data_sent_ms.into());
    count(out, " lastrcv:", info.last_data_recv_ms.into());
    count(out, " lastack:", info.last_ack_recv_ms.into());
    if let Some(rate) = info.pacing_rate.filter(|rate| *rate != 0 && *rate != u64::MAX) {
        text(out, " pacing_rate ");
        bandwidth(out, rate as f64 * 8.0, exact);
        if let Some(most) = info.max_pacing_rate.filter(|most| *most != 0 && *most != u64::MAX) {
            out.push(b'/');
            bandwidth(out, most as f64 * 8.0, exact);
        }
    }
    if let Some(rate) = info.delivery_rate.filter(|rate| *rate != 0) {
        text(out, " delivery_rate ");
        bandwidth(out, rate as f64 * 8.0, exact);
    }
    count(out, " delivered:", info.delivered.unwrap_or(0).into());
    count(out, " delivered_ce:", info.delivered_ce.unwrap_or(0).into());
    if info.delivery_rate_app_limited {
        text(out, " app_limited");
    }
    if let Some(busy) = info.busy_time_us.filter(|busy| *busy != 0) {
        named(out, " busy:", busy / 1000);
        text(out, "ms");
        for (word, limited) in
            [(" rwnd_limited:", info.rwnd_limited_us), (" sndbuf_limited:", info.sndbuf_limited_us)]
        {
            if let Some(limited) = limited.filter(|limited| *limited != 0) {
                named(out, word, limited / 1000);
                text(out, &format!("ms({:.1}%)", 100.0 * limited as f64 / busy as f64));
            }
        }
    }
    count(out, " unacked:", info.unacked.into());
    if info.retrans != 0 || info.total_retrans != 0 {
        named(out, " retrans:", info.retrans.into());
        named(out, "/", info.total_retrans.into());
    }
    count(out, " lost:", info.lost.into());
    if info.state != 10 {
        count(out, " sacked:", info.sacked.into());
    }
    count(out, " dsack_dups:", info.dsack_dups.unwrap_or(0).into());
    count(out, " fackets:", info.fackets.into());
    if info.reordering != NO_REORDERING {
        count(out, " reordering:", info.reordering.into());
    }
    count(out, " reord_seen:", info.reord_seen.unwrap_or(0).into());
    if info.rcv_rtt_us != 0 {
        milli(out, " rcv_rtt:", info.rcv_rtt_us);
    }
    count(out, " rcv_space:", info.rcv_space.into());
    count(out, " rcv_ssthresh:", info.rcv_ssthresh.into());
    count(out, " notsent:", info.notsent_bytes.unwrap_or(0).into());
    if let Some(least) = info.min_rtt_us.filter(|least| *least != 0 && *least != u32::MAX) {
        milli(out, " minrtt:", least);
    }
    count(out, " rcv_ooopack:", info.rcv_ooopack.unwrap_or(0).into());
    count(out, " snd_wnd:", info.snd_wnd.unwrap_or(0).into());
}

fn milli(out: &mut Vec<u8>, word: &str, micros: u32) {
    text(out, word);
    thousandths(out, micros.into());
}

/// A number that is left out when it is zero.
fn count(out: &mut Vec<u8>, word: &str, number: u64) {
    if number != 0 {
        named(out, word, number);
    }
}

/// Bits per second: whole, or with three digits and a letter.
fn bandwidth(out: &mut Vec<u8>, rate: f64, exact: bool) {
    if exact {
        text(out, &format!("{rate:.0}bps"));
        return;
    }
    let steps = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let (unit, letter) = steps.into_iter().find(|(unit, _)| rate > *unit).unwrap_or((1.0, ""));
    general(out, rate / unit, 3);
    text(out, letter);
    text(out, "bps");
}

/// What the congestion control itself tells: Vegas, DCTCP or BBR.
fn congestion(out: &mut Vec<u8>, answer: &Answer<'_>, exact: bool) {
    if let Some(bbr) = answer.structure(attribute::BBRINFO) {
        let word = |at: usize| bbr.u32(at * 4).unwrap_or(0);
        let bytes = u64::from(word(0)) | u64::from(word(1)) << 32;
        text(out, " bbr:(bw:");
        bandwidth(out, bytes as f64 * 8.0, exact);
        milli(out, ",mrtt:", word(2));
        for (name, gain) in [(",pacing_gain:", word(3)), (",cwnd_gain:", word(4))] {
            if gain != 0 {
                text(out, name);
                general(out, f64::from(gain) / 256.0, 6);
            }
        }
        out.push(b')');
    } else if let Some(dctcp) = answer.structure(attribute::DCTCPINFO) {
        if dctcp.u16(0).is_some_and(|on| on != 0) {
            named(out, " dctcp:(ce_state:", dctcp.u16(2).unwrap_or(0).into());
            named(out, ",alpha:", dctcp.u32(4).unwrap_or(0).into());
            named(out, ",ab_ecn:", dctcp.u32(8).unwrap_or(0).into());
            named(out, ",ab_tot:", dctcp.u32(12).unwrap_or(0).into());
            out.push(b')');
        } else {
            text(out, " dctcp:fallback_mode");
        }
    }
}

/// The layer above TCP (`INET_DIAG_ULP_INFO`): TLS or MPTCP.
pub(super) fn upper_layer(out: &mut Vec<u8>, answer: &Answer<'_>) {
    const NAME: u16 = 1;
    const TLS: u16 = 2;
    const MPTCP: u16 = 3;
    let Some(nest) = answer.get(attribute::ULP_INFO) else { return };
    for one in Attributes::new(nest).flatten() {
        match one.kind {
            NAME => {
                text(out, " tcp-ulp-");
                text(out, &netwhy_render::escape::escape_terminal(&one.text()));
            }
            TLS => tls(out, one.attributes()),
            MPTCP => subflow(out, one.attributes()),
            _ => {}
        }
    }
}

fn tls(out: &mut Vec<u8>, attributes: Attributes<'_>) {
    let direction = |number: u16| match number {
        1 => "base",
        2 => "sw",
        3 => "hw",
        4 => "hw-record",
        _ => "none",
    };
    for one in attributes.flatten() {
        let number = one.u16().unwrap_or(0);
        match one.kind {
            1 => text(
                out,
                match number {
                    0x303 => " version: 1.2",
                    0x304 => " version: 1.3",
                    _ => " version: unknown",
                },
            ),
            2 => text(
                out,
                match number {
                    51 => " cipher: aes-gcm-128",
                    52 => " cipher: aes-gcm-256",
                    53 => " cipher: aes-ccm-128",
                    54 => " cipher: chacha20-poly1305",
                    _ => " cipher: unknown",
                },
            ),
            3 => text(out, &format!(" txconf: {}", direction(number))),
            4 => text(out, &format!(" rxconf: {}", direction(number))),
            5 => text(out, " zc_ro_tx"),
            6 => text(out, " no_pad_rx"),
            _ => {}
        }
    }
}

/// `MPTCP_SUBFLOW_ATTR_*` (uapi `linux/mptcp.h`).
fn subflow(out: &mut Vec<u8>, attributes: Attributes<'_>) {
    const LETTERS: &[u8] = b"MmJjBbecv";
    let mut slots: [Fixed<'_>; 11] = [Fixed(&[]); 11];
    for one in attributes.flatten() {
        if let Some(slot) = slots.get_mut(usize::from(one.kind)) {
            *slot = one.fixed();
        }
    }
    let word = |kind: usize| slots[kind].u32(0);
    let byte = |kind: usize| slots[kind].u8(0).unwrap_or(0);
    if let Some(flags) = word(8) {
        text(out, " flags:");
        for (bit, letter) in LETTERS.iter().enumerate() {
            if flags >> bit & 1 == 1 {
                out.push(*letter);
            }
        }
    }
    let (remote, local) = (word(1).unwrap_or(0), word(2).unwrap_or(0));
    text(out, &format!(" token:{remote:04x}(id:{})/{local:04x}(id:{})", byte(9), byte(10)));
    if let Some(sequence) = slots[4].u64(0) {
        text(out, " seq:");
        hex(out, sequence);
    }
    for (name, value) in [(" sfseq:", word(5)), (" ssnoff:", word(6))] {
        if let Some(value) = value {
            text(out, name);
            hex(out, value.into());
        }
    }
    if let Some(length) = slots[7].u16(0) {
        text(out, " maplen:");
        hex(out, length.into());
    }
}

/// `struct mptcp_info` (uapi `linux/mptcp.h`).
pub(super) fn mptcp(out: &mut Vec<u8>, answer: &Answer<'_>) {
    const FALLBACK: u32 = 1;
    const REMOTE_KEY: u32 = 2;
    let Some(info) = answer.structure(attribute::INFO) else { return };
    let byte = |at: usize| u64::from(info.u8(at).unwrap_or(0));
    for (at, word) in [
        " subflows:",
        " add_addr_signal:",
        " add_addr_accepted:",
        " subflows_max:",
        " add_addr_signal_max:",
        " add_addr_accepted_max:",
    ]
    .into_iter()
    .enumerate()
    {
        count(out, word, byte(at));
    }
    let flags = info.u32(8).unwrap_or(0);
    if flags & FALLBACK != 0 {
        text(out, " fallback");
    }
    if flags & REMOTE_KEY != 0 {
        text(out, " remote_key");
    }
    if let Some(token) = info.u32(12).filter(|token| *token != 0) {
        text(out, " token:");
        hex(out, token.into());
    }
    for (at, word) in [(16, " write_seq:"), (24, " snd_una:"), (32, " rcv_nxt:")] {
        if let Some(sequence) = info.u64(at).filter(|sequence| *sequence != 0) {
            text(out, word);
            hex(out, sequence);
        }
    }
    count(out, " local_addr_used:", byte(40));
    count(out, " local_addr_max:", byte(41));
    count(out, " csum_enabled:", byte(42));
}

/// Milliseconds as a timer shows them: `880ms`, `1.200ms`, `49sec`, `1min23sec`, `119min`.
pub(super) fn timer(out: &mut Vec<u8>, millis: u32) {
    let (mut seconds, mut rest) = (millis / 1000, millis % 1000);
    if seconds >= 60 {
        rest = 0;
        let minutes = seconds / 60;
        named(out, "", minutes.into());
        text(out, "min");
        seconds = if minutes > 9 { 0 } else { seconds % 60 };
    }
    if seconds > 0 {
        if seconds > 9 {
            rest = 0;
        }
        decimal(out, seconds.into());
        text(out, if rest > 0 { "." } else { "sec" });
    }
    if rest > 0 {
        text(out, &format!("{rest:03}ms"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(work: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        work(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn timers_are_as_exact_as_they_are_short() {
        for (millis, shown) in [
            (880, "880ms"),
            (44, "044ms"),
            (4200, "4.200ms"),
            (49_300, "49sec"),
            (5000, "5sec"),
            (83_500, "1min23sec"),
            (7_140_000, "119min"),
            (0, ""),
        ] {
            assert_eq!(written(|out| timer(out, millis)), shown);
        }
    }

    #[test]
    fn rates_have_three_digits_or_all() {
        let rate = |rate: f64, exact: bool| written(|out| bandwidth(out, rate, exact));
        assert_eq!(
            (rate(52_428_800_000.0, false), rate(1.5e12, false)),
            ("52.4Gbps".into(), "1.5Tbps".into())
        );
        assert_eq!((rate(28_262_389_888.0, true), rate(0.0, true)), ("28262389888bps".into(), "0bps".into()));
        assert_eq!(rate(512.0, false), "512bps");
    }
}
