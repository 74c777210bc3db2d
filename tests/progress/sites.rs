//! Where the source has an atomic access: read from its text, so that an access that no operation
//! of the test passes is noticed.

use idlewheel::steps::Point;
use std::fs;
use std::path::{Path, PathBuf};

/// Methods of atomics.
const METHODS: [&str; 12] = [
    "load",
    "store",
    "swap",
    "compare_exchange",
    "compare_exchange_weak",
    "fetch_add",
    "fetch_sub",
    "fetch_or",
    "fetch_and",
    "fetch_max",
    "fetch_min",
    "fetch_update",
];

/// A place in the source as compilers name it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Site {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Site {
    /// The file or folder in `src`.
    pub(crate) fn room(&self) -> &str {
        self.file.split('/').nth(1).unwrap_or_default()
    }
}

/// The place that a point is at.
pub(crate) fn site(point: Point) -> Site {
    Site { file: point.file().to_owned(), line: point.line(), column: point.column() }
}

/// Every atomic access of the library, its models and tests left out.
pub(crate) fn all() -> Vec<Site> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    list(&root.join("src"), &mut files);
    files.sort();
    let mut sites = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("the source can be read");
        let name = file.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let site = |(line, column)| Site { file: name.clone(), line, column };
        sites.extend(of_text(&text).into_iter().map(site));
    }
    sites
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the source can be read") {
        let path = entry.expect("the source can be read").path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "model" {
                list(&path, files);
            }
        } else if !name.ends_with("model.rs") && !name.ends_with("_tests.rs") {
            files.push(path);
        }
    }
}

/// The module and function that a site is in, as in `wheel/bits::clear`.
pub(crate) fn function(site: &Site) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&site.file);
    let text = fs::read_to_string(path).expect("the source can be read");
    let names = text.lines().take(site.line as usize).filter_map(|line| {
        let (_, name) = line.split_once("fn ").filter(|(before, _)| !before.contains("//"))?;
        name.split(['(', '<']).next()
    });
    let module = site.file.trim_start_matches("src/").trim_end_matches(".rs");
    format!("{}::{}", module.trim_end_matches("/mod"), names.last().unwrap_or("a static"))
}

/// The accesses in a file, up to its tests.
fn of_text(text: &str) -> Vec<(u32, u32)> {
    let tests = text.find("\n#[cfg(all(test").or_else(|| text.find("\n#[cfg(test)]\nmod tests {"));
    let has_tests =
        |at: &usize| text[*at + 1..].lines().nth(1).is_some_and(|next| next.ends_with('{'));
    let code = &text[..tests.filter(has_tests).unwrap_or(text.len())];
    let mut sites = Vec::new();
    let mut add = |at: usize| {
        let line_start = code[..at].rfind('\n').map_or(0, |end| end + 1);
        let line = code[..at].matches('\n').count() + 1;
        sites.push((line as u32, (at - line_start) as u32 + 1));
    };
    for method in METHODS {
        for (dot, found) in code.match_indices(&format!(".{method}(")) {
            let arguments = arguments(&code[dot + found.len()..]);
            if ["Ordering::", "order"].iter().any(|order| arguments.contains(order)) {
                add(receiver(code, dot));
            }
        }
    }
    for (at, _) in code.match_indices("fence(Ordering::") {
        if !code[..at].ends_with("compiler_") {
            add(at);
        }
    }
    sites.sort_unstable();
    sites
}

/// What stands in the brackets that are open already.
fn arguments(code: &str) -> &str {
    let mut depth = 1;
    let end = code.find(|c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    });
    &code[..end.expect("brackets are closed")]
}

/// Where the expression begins whose method is called behind `dot`.
fn receiver(code: &str, dot: usize) -> usize {
    let bytes = code.as_bytes();
    let mut start = dot;
    loop {
        // White space is within an expression only before a dot.
        let mut at = start;
        while bytes[start] == b'.' && at > 0 && bytes[at - 1].is_ascii_whitespace() {
            at -= 1;
        }
        match bytes[at - 1] {
            b')' => start = opening(bytes, at - 1, b'(', b')'),
            b']' => start = opening(bytes, at - 1, b'[', b']'),
            b'}' => {
                start = opening(bytes, at - 1, b'{', b'}');
                return code[..start].trim_end().strip_suffix("unsafe").map_or(start, str::len);
            }
            b'.' if at > 1 && bytes[at - 2] == b'.' => return start,
            b'.' | b'?' | b'_' | b':' => start = at - 1,
            c if c.is_ascii_alphanumeric() => start = at - 1,
            _ => return start,
        }
    }
}

/// The bracket that the one at `close` closes.
fn opening(bytes: &[u8], close: usize, open: u8, shut: u8) -> usize {
    let mut depth = 0;
    (0..=close)
        .rev()
        .find(|at| {
            depth += i32::from(bytes[*at] == shut) - i32::from(bytes[*at] == open);
            depth == 0
        })
        .expect("brackets are opened")
}
