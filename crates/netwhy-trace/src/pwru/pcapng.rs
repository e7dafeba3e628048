//! Packets with comments as pcapng (draft-ietf-opsawg-pcapng): one section, one interface of raw IP.

/// A packet that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Nanoseconds since boot of its first point.
    ts: u64,
    /// Bytes it has; more than are kept.
    length: u64,
    bytes: Vec<u8>,
    steps: Vec<String>,
}

/// Most points kept of a packet's way.
const STEPS: usize = 256;

impl Packet {
    pub(crate) fn new(ts: u64, length: u64, bytes: &[u8]) -> Self {
        // What was read beyond the end of the packet is not its own.
        let total = match bytes {
            [first, _, high, low, ..] if first >> 4 == 4 => usize::from(u16::from_be_bytes([*high, *low])),
            [first, _, _, _, high, low, ..] if first >> 4 == 6 => {
                usize::from(u16::from_be_bytes([*high, *low])) + 40
            }
            _ => usize::try_from(length).unwrap_or(usize::MAX),
        };
        let kept = bytes.get(..total).unwrap_or(bytes).to_vec();
        Packet { ts, length: total as u64, bytes: kept, steps: Vec::new() }
    }

    pub(crate) fn step(&mut self, text: &str) {
        if self.steps.len() < STEPS {
            self.steps.push(text.trim_end().to_owned());
        }
    }
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (12 + body.len().next_multiple_of(4)) as u32;
    out.extend(kind.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(body);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(length.to_le_bytes());
}

/// An option: code, length, value padded to four bytes.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The whole file; `boot` is the moment of boot in nanoseconds since the epoch.
#[must_use]
pub fn file(packets: &[Packet], boot: u64) -> Vec<u8> {
    const SECTION: u32 = 0x0a0d_0d0a;
    const INTERFACE: u32 = 1;
    const ENHANCED: u32 = 6;
    const RAW: u16 = 101;
    let mut out = Vec::new();
    let mut body = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
    body.extend([1, 0, 0, 0]);
    body.extend(u64::MAX.to_le_bytes());
    option(&mut body, 4, b"netwhy");
    body.extend([0; 4]);
    block(&mut out, SECTION, &body);
    let mut body = u32::from(RAW).to_le_bytes().to_vec();
    body.extend(0_u32.to_le_bytes());
    // Time in nanoseconds (if_tsresol).
    option(&mut body, 9, &[9]);
    body.extend([0; 4]);
    block(&mut out, INTERFACE, &body);
    for packet in packets {
        let when = boot.saturating_add(packet.ts);
        let mut body = 0_u32.to_le_bytes().to_vec();
        body.extend(((when >> 32) as u32).to_le_bytes());
        body.extend((when as u32).to_le_bytes());
        body.extend((packet.bytes.len() as u32).to_le_bytes());
        body.extend((packet.length.max(packet.bytes.len() as u64) as u32).to_le_bytes());
        body.extend(&packet.bytes);
        body.resize(body.len().next_multiple_of(4), 0);
        option(&mut body, 1, packet.steps.join("\n").as_bytes());
        body.extend([0; 4]);
        block(&mut out, ENHANCED, &body);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_their_length_at_both_ends() {
        // 20 bytes of IPv4 in a buffer that has more.
        let mut bytes = vec![0x45, 0, 0, 20];
        bytes.resize(50, 7);
        let mut packet = Packet::new(5, 60, &bytes);
        packet.step("+0 us somewhere ");
        packet.step("+3 us elsewhere");
        let file = file(&[packet], 1 << 32);
        let mut rest = file.as_slice();
        let mut kinds = Vec::new();
        while let Some(head) = rest.first_chunk::<8>() {
            let kind = u32::from_le_bytes(head[..4].try_into().unwrap());
            let length = u32::from_le_bytes(head[4..].try_into().unwrap()) as usize;
            assert_eq!(rest[length - 4..length], head[4..]);
            kinds.push(kind);
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
        assert_eq!(kinds, [0x0a0d_0d0a, 1, 6]);
        let text = String::from_utf8_lossy(&file);
        assert!(text.contains("+0 us somewhere\n+3 us elsewhere"));
        // Of the sevens the header has sixteen; those after the packet are left out.
        assert!(!file.windows(17).any(|window| window == [7; 17]));
    }
}
