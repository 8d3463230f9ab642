//! The command line program `nightlatch`: parse, dispatch, say what went wrong, exit.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use nightlatch::cli::{Cli, Failure};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Wrong usage, as BSD's sysexits.h has it.
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    let code = match Cli::try_parse() {
        Ok(cli) => execute(cli),
        Err(error) => explain(&error),
    };
    ExitCode::from(code)
}

fn execute(cli: Cli) -> u8 {
    match cli.execute() {
        Ok(exit) => exit.code(),
        Err(failure) => {
            report(&failure);
            failure.code()
        }
    }
}

/// Prints help and version as data, and a wrong command line as words.
fn explain(error: &clap::Error) -> u8 {
    // Nobody is left to be told when this cannot be written.
    let _ = error.print();
    if error.use_stderr() { EX_USAGE } else { 0 }
}

fn report(failure: &Failure) {
    let mut err = std::io::stderr().lock();
    for error in &failure.0 {
        let _ = writeln!(err, "error: {error}");
    }
}
