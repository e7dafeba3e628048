//! The columns of ss(8): as wide as their widest cell, in runs of bounded size, spread over a terminal's width.

use std::io::{self, Write};

/// Text held before it is laid out and written. Beyond it the columns of what follows are measured anew, as
/// the original does.
const RUN: usize = 4 << 20;

const COLUMNS: usize = 9;
const NETID: usize = 0;
const STATE: usize = 1;
const LOCAL: usize = 4;
const PEER: usize = 6;
/// A port's cell starts with what separates it from its address.
const HEADINGS: [&str; COLUMNS] =
    ["Netid", "State", "Recv-Q", "Send-Q", "Local Address", ":Port", "Peer Address", ":Port", "Process"];
/// Whether a column stands apart from the one before it.
const APART: [bool; COLUMNS] = [true, true, true, true, true, false, true, false, false];

const fn is_right(column: usize) -> bool {
    column == LOCAL || column == PEER
}

/// Rows on their way out.
pub(super) struct Table<'a> {
    out: &'a mut dyn Write,
    /// Of the terminal; `None` if there is none, then nothing is spread.
    screen: Option<usize>,
    shown: [bool; COLUMNS],
    text: Vec<u8>,
    /// Where each cell of the rows ends in `text`, hidden columns left out.
    ends: Vec<u32>,
    widths: [usize; COLUMNS],
    /// The next column to be ended.
    column: usize,
    start: usize,
}

impl<'a> Table<'a> {
    pub(super) fn new(
        out: &'a mut dyn Write,
        screen: Option<usize>,
        netid: bool,
        state: bool,
        header: bool,
    ) -> Self {
        let mut shown = [true; COLUMNS];
        shown[NETID] = netid;
        shown[STATE] = state;
        let mut table = Table {
            out,
            screen,
            shown,
            text: Vec::with_capacity(1 << 16),
            ends: Vec::new(),
            widths: [0; COLUMNS],
            column: 0,
            start: 0,
        };
        if header {
            for heading in HEADINGS {
                table.text.extend_from_slice(heading.as_bytes());
                table.end();
            }
        }
        table
    }

    /// The cell being written.
    pub(super) fn cell(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Ends the cell.
    pub(super) fn end(&mut self) {
        if self.shown[self.column] {
            let width = self.text.len() - self.start;
            self.widths[self.column] = self.widths[self.column].max(width);
            // A run is bounded, and so are its offsets.
            self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        } else {
            self.text.truncate(self.start);
        }
        self.start = self.text.len();
        self.column = (self.column + 1) % COLUMNS;
    }

    /// Ends the row; writes the run out if it is large.
    pub(super) fn end_row(&mut self) -> io::Result<()> {
        while self.column != 0 {
            self.end();
        }
        if self.text.len() >= RUN { self.flush() } else { Ok(()) }
    }

    /// Writes what is held.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let columns: Vec<usize> = (0..COLUMNS).filter(|column| self.shown[*column]).collect();
        // What separates a column from the one before counts to it; the first has nothing before it.
        let gap = |index: usize| usize::from(index > 0 && APART[columns[index]]);
        let mut widths: Vec<usize> =
            columns.iter().enumerate().map(|(index, column)| self.widths[*column] + gap(index)).collect();
        if let Some(screen) = self.screen {
            spread(&mut widths, screen);
        }
        let mut line = Vec::with_capacity(256);
        let mut start = 0;
        for (number, end) in self.ends.iter().enumerate() {
            let index = number % columns.len();
            let end = *end as usize;
            let cell = self.text.get(start..end).unwrap_or(&[]);
            start = end;
            let gap = gap(index);
            let pad = widths[index].saturating_sub(cell.len() + gap);
            let (before, after) = if is_right(columns[index]) { (gap + pad, 0) } else { (gap, pad) };
            line.resize(line.len() + before, b' ');
            line.extend_from_slice(cell);
            line.resize(line.len() + after, b' ');
            if index + 1 == columns.len() {
                line.push(b'\n');
                if line.len() > 1 << 15 {
                    self.out.write_all(&line)?;
                    line.clear();
                }
            }
        }
        self.out.write_all(&line)?;
        self.text.clear();
        self.ends.clear();
        self.start = 0;
        self.widths = [0; COLUMNS];
        Ok(())
    }
}

/// Fills each of the screen's lines a row takes: columns go on a line as long as they fit, and share what is left of it.
fn spread(widths: &mut [usize], screen: usize) {
    let mut first = 0;
    while first < widths.len() {
        let (mut last, mut used) = (first + 1, widths[first]);
        while last < widths.len() && used + widths[last] <= screen {
            used += widths[last];
            last += 1;
        }
        let mut left = screen.saturating_sub(used);
        for (before, width) in widths[first..last].iter_mut().enumerate() {
            let share = left / (last - first - before);
            *width += share;
            left -= share;
        }
        first = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_share_what_is_left_of_each_of_the_screens_lines() {
        let mut one = [6, 7, 7, 16, 5, 13, 5, 7];
        spread(&mut one, 80);
        assert_eq!(one, [7, 8, 9, 18, 7, 15, 7, 9], "as the original was seen to do");
        let mut two = [10, 7, 7, 19, 6, 19, 6, 27];
        spread(&mut two, 60);
        assert_eq!(two[..5].iter().sum::<usize>(), 60);
        assert_eq!(two[5..].iter().sum::<usize>(), 60);
    }

    #[test]
    fn addresses_stand_right_and_hidden_columns_leave_nothing() {
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, None, false, true, true);
        for cell in ["tcp", "ESTAB", "0", "0", "127.0.0.1", ":80", "::1", ":*"] {
            table.cell().extend_from_slice(cell.as_bytes());
            table.end();
        }
        table.end_row().unwrap();
        table.flush().unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\n\
             ESTAB 0      0          127.0.0.1:80            ::1:*          \n"
        );
    }
}
