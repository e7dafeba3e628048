//! Where results go, and when they are written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;

use crate::cli::ProbeBuffer;

/// Standard output or a file.
pub(super) fn open(path: Option<&Path>, mode: ProbeBuffer) -> anyhow::Result<Box<dyn Write>> {
    let to: Box<dyn Write> = match path {
        Some(path) => {
            Box::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?)
        }
        None => Box::new(io::stdout().lock()),
    };
    Ok(match mode {
        ProbeBuffer::None => Box::new(Unbuffered(to)),
        // A session asks for its output to be written after each batch of records.
        ProbeBuffer::Line => Box::new(BufWriter::new(to)),
        ProbeBuffer::Full => Box::new(Full(BufWriter::with_capacity(64 << 10, to))),
    })
}

struct Unbuffered(Box<dyn Write>);

impl Write for Unbuffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes)?;
        self.0.flush()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Written when there is much, and at the end.
struct Full(BufWriter<Box<dyn Write>>);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        let _ = self.0.flush();
    }
}
