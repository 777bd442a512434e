//! The command line: parses and calls.

use std::process::ExitCode;

/// Rendering and decoding allocate much and from many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rekindle::cli::main()
}
