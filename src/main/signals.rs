//! Signals and panics, handed on to a command that has taken the terminal over.

use ao::adapters::cli::context::Attention;
use ao::adapters::cli::error::CliError;
use ao::adapters::cli::taken;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Tells a command of the signals that ask it to end, and of another size of its terminal. One that `sits` at a terminal of another's is not
/// stopped by a signal: its own would be left as that one has it.
pub(crate) fn hand_on(attention: &Attention, sits: bool) -> Result<(), CliError> {
    let catch = |kind| signal(kind).map_err(|error| CliError::failed(format!("cannot catch signals: {error}")));
    let (mut interrupt, mut terminate) = (catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?);
    let (mut quit, mut hang_up) = (catch(SignalKind::quit())?, catch(SignalKind::hangup())?);
    // One that is caught stops nothing.
    let _stopped = sits.then(|| catch(SignalKind::from_raw(Signal::TSTP.as_raw()))).transpose()?;
    let mut resized = catch(SignalKind::window_change())?;
    let attention = attention.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => attention.stop.cancel(),
                _ = terminate.recv() => attention.stop.cancel(),
                _ = quit.recv() => attention.stop.cancel(),
                _ = hang_up.recv() => attention.stop.cancel(),
                _ = resized.recv() => attention.resized.notify_one(),
            }
        }
    });
    Ok(())
}

/// Gives the terminal back before a panic is reported: on the screen that was taken over, nobody would read it.
pub(crate) fn give_terminal_back_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        taken::give_back();
        report(panic);
    }));
}
