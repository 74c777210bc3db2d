//! A request log from a file or standard input, plain or gzip, read as a stream.

use crate::parse;
use flate2::read::MultiGzDecoder;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// What a line may hold before the rest of it is thrown away: bounds the memory for input that
/// has no line ends at all.
const MAX_LINE: usize = 64 * 1024;

pub(crate) struct Log {
    reader: BufReader<Box<dyn Read>>,
    line: Vec<u8>,
    cut: bool,
    consumed: Rc<Cell<u64>>,
    /// Size of the input as stored, if known.
    pub(crate) total: Option<u64>,
    pub(crate) gzip: bool,
    pub(crate) lines: u64,
    pub(crate) broken: u64,
}

impl Log {
    pub(crate) fn open(path: &Path) -> io::Result<Log> {
        let file = File::open(path)?;
        let total = file.metadata().ok().filter(|meta| meta.is_file());
        Log::new(file, total.map(|meta| meta.len()))
    }

    pub(crate) fn stdin() -> io::Result<Log> {
        Log::new(io::stdin(), None)
    }

    fn new(raw: impl Read + 'static, total: Option<u64>) -> io::Result<Log> {
        let consumed = Rc::new(Cell::new(0));
        let mut raw = Counting { raw, consumed: Rc::clone(&consumed) };
        // Read the magic bytes and put them back in front: a pipe cannot be rewound.
        let mut magic = Vec::new();
        raw.by_ref().take(2).read_to_end(&mut magic)?;
        let gzip = magic == [0x1f, 0x8b];
        let whole = Cursor::new(magic).chain(raw);
        let plain: Box<dyn Read> =
            if gzip { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
        Ok(Log {
            reader: BufReader::with_capacity(MAX_LINE, plain),
            line: Vec::new(),
            cut: false,
            consumed,
            total,
            gzip,
            lines: 0,
            broken: 0,
        })
    }

    /// Bytes of the stored input read so far.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed.get()
    }

    /// The time of the next good line, with its key in `key`; `None` at the end.
    pub(crate) fn next(&mut self, key: &mut Vec<u8>) -> io::Result<Option<Duration>> {
        while self.read_line()? {
            self.lines += 1;
            let mut line = &self.line[..];
            if self.lines == 1 {
                line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            }
            if let Some((at, name)) = parse::line(line, self.cut) {
                key.clear();
                key.extend_from_slice(name);
                return Ok(Some(at));
            }
            self.broken += 1;
        }
        Ok(None)
    }

    fn read_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        self.cut = false;
        let mut any = false;
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                return Ok(any);
            }
            any = true;
            let end = chunk.iter().position(|&b| b == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            let room = MAX_LINE - self.line.len();
            self.cut |= part.len() > room;
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

struct Counting<R> {
    raw: R,
    consumed: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.raw.read(buffer)?;
        self.consumed.set(self.consumed.get() + count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn log(bytes: Vec<u8>) -> Log {
        Log::new(Cursor::new(bytes), None).unwrap()
    }

    fn times(log: &mut Log) -> io::Result<Vec<u64>> {
        let (mut key, mut times) = (Vec::new(), Vec::new());
        while let Some(at) = log.next(&mut key)? {
            times.push(at.as_secs());
        }
        Ok(times)
    }

    #[test]
    fn plain_and_gzip_of_many_members() {
        let mut plain = log(b"\xef\xbb\xbf1\ta\n\nnoise\n2\tb".to_vec());
        assert_eq!(times(&mut plain).unwrap(), [1, 2]);
        assert_eq!((plain.lines, plain.broken, plain.gzip), (4, 2, false));

        let mut packed = log([gzip(b"1\ta\n2"), gzip(b"\tb\n3\tc\n")].concat());
        assert_eq!(times(&mut packed).unwrap(), [1, 2, 3]);
        assert!(packed.gzip);
    }

    #[test]
    fn short_input() {
        for bytes in [&b""[..], b"\n", b"\x1f"] {
            assert_eq!(times(&mut log(bytes.to_vec())).unwrap(), [0; 0]);
        }
    }

    #[test]
    fn cut_gzip_is_an_error_after_the_good_lines() {
        let mut whole = gzip(&b"1\ta\n".repeat(1000));
        whole.truncate(whole.len() - 6);
        let (mut log, mut key) = (log(whole), Vec::new());
        for _ in 0..1000 {
            assert!(log.next(&mut key).unwrap().is_some());
        }
        assert!(log.next(&mut key).is_err());
    }

    #[test]
    fn long_lines_are_cut_and_end_where_they_end() {
        let long = "x".repeat(3 * MAX_LINE);
        let time = "[17/May/2015:10:05:03 +0000]";
        let mut log = log(format!("1\t{long}\nh - - {time} \"{long}\n2\tb\n").into_bytes());
        assert_eq!(times(&mut log).unwrap(), [1_431_857_103, 2]);
        assert_eq!(log.broken, 1);
    }
}
