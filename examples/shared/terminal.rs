//! What a program tells: its report on standard output, all else on standard error.

use std::io::{self, Write};
use std::process::ExitCode;

/// Prints a report. A reader who has left (`| head`) is no fault; any other failure to print is one.
pub(crate) fn print(text: &str, code: u8) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("standard output: {error}"));
            ExitCode::from(1)
        }
        _ => ExitCode::from(code),
    }
}

/// A line with the program's name. Unlike `eprintln!`, survives a closed standard error.
pub(crate) fn complain(message: &str) {
    let program = module_path!().split("::").next().unwrap_or_default();
    let _ = writeln!(io::stderr(), "{program}: {message}");
}
