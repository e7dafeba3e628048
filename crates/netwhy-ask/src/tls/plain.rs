//! What a service speaks that does not speak TLS, by its first bytes. No I/O.

/// The protocol that begins like this; `None` for TLS records, for nothing, and for what nobody knows.
pub(super) fn looks_like(first: &[u8]) -> Option<&'static str> {
    const STARTS: [(&[u8], &str); 21] = [
        (b"HTTP/", "HTTP"),
        (b"<!DOCTYPE", "HTTP"),
        (b"<html", "HTTP"),
        (b"SSH-", "SSH"),
        (b"220-", "SMTP or FTP"),
        (b"220 ", "SMTP or FTP"),
        (b"421 ", "SMTP or FTP"),
        (b"500 ", "SMTP or FTP"),
        (b"554 ", "SMTP"),
        (b"+OK", "POP3"),
        (b"* OK", "IMAP"),
        (b"* BYE", "IMAP"),
        (b"-ERR", "Redis or POP3"),
        (b"-NOAUTH", "Redis"),
        (b"AMQP", "AMQP"),
        (b"RFB ", "VNC"),
        (b"ERROR\r\n", "memcached"),
        (b"@RSYNCD:", "rsync"),
        (b"<?xml", "XMPP or XML"),
        (b"<stream:", "XMPP"),
        (b"ZBXD", "Zabbix"),
    ];
    if let Some((_, name)) = STARTS.iter().find(|(start, _)| first.starts_with(start)) {
        return Some(name);
    }
    match first {
        [] => None,
        // A TLS record: alert, handshake, and the version's first byte.
        [20..=23, 3, ..] | [20..=23] => None,
        // A MySQL greeting: length, sequence 0, protocol 10; or its error packet.
        [_, _, 0, 0, 10 | 0xff, ..] => Some("MySQL"),
        // PostgreSQL says N to an SSL request, and E with an error to what it does not understand.
        [b'E', 0, 0, _, _, b'S', ..] => Some("PostgreSQL"),
        _ if first.iter().take(16).all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
            Some("text")
        }
        _ => Some("unknown"),
    }
}

/// Bytes for people: printable ASCII as it is, the rest as `\xNN`, cut after `most` bytes.
pub(crate) fn printable(bytes: &[u8], most: usize) -> String {
    let mut out = String::new();
    for byte in bytes.iter().take(most) {
        match byte {
            b'\r' => out.push_str("\\r"),
            b'\n' => out.push_str("\\n"),
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(*byte)),
            other => out.push_str(&format!("\\x{other:02x}")),
        }
    }
    if bytes.len() > most {
        out.push_str("...");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_known_by_how_they_begin() {
        for (first, name) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], Some("HTTP")),
            (b"SSH-2.0-OpenSSH_9.6\r\n", Some("SSH")),
            (b"220 mail.example ESMTP\r\n", Some("SMTP or FTP")),
            (b"J\0\0\0\n8.0.36\0", Some("MySQL")),
            (b"E\0\0\0\x8bSFATAL\0", Some("PostgreSQL")),
            (b"hello there\n", Some("text")),
            (b"\x00\x01\x02\x03\x04\x05", Some("unknown")),
            (b"\x15\x03\x03\0\x02", None),
            (b"\x16\x03", None),
            (b"", None),
        ] {
            assert_eq!(looks_like(first), name, "{first:?}");
        }
    }

    #[test]
    fn nothing_that_moves_a_cursor_gets_through() {
        assert_eq!(printable(b"a\x1b[2J\r\n\\\xff", 20), "a\\x1b[2J\\r\\n\\\\\\xff");
        assert_eq!(printable(b"abcdef", 3), "abc...");
    }
}
