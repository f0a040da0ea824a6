//! The terminal: how wide it is, and secrets that are typed unseen.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

use super::error::ClientError;
use super::settings::Env;

/// Columns of the terminal that stdout is; `None` where it is none. `COLUMNS` goes before what the terminal says.
pub(crate) fn width(env: &Env<'_>) -> Option<u16> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let set = env("COLUMNS").and_then(|columns| columns.parse().ok());
    let own = || tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col);
    set.or_else(own).filter(|columns| *columns > 0)
}

/// What `^C` types.
const INTERRUPT: u8 = 3;

/// Asks whoever sits at the terminal, who types unseen.
pub(crate) fn ask_unseen(question: &str) -> Result<String, ClientError> {
    let fault = |error: io::Error| ClientError::file("the terminal")(error);
    let mut err = io::stderr();
    write!(err, "{question}: ").and_then(|()| err.flush()).map_err(fault)?;
    let seen = tcgetattr(io::stdin()).map_err(|error| fault(error.into()))?;
    let mut unseen = seen.clone();
    // `^C` ends the line instead of the process, which would leave the terminal unseen.
    unseen.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
    unseen.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
    let _again = Unseen::set(seen, &unseen).map_err(fault)?;
    let mut stdin = io::stdin().lock();
    // A terminal gives a line at a time.
    let mut line = stdin.fill_buf().map_err(fault)?.to_vec();
    stdin.consume(line.len());
    let _ = writeln!(err);
    match line.pop() {
        Some(b'\n') if !line.is_empty() => {
            String::from_utf8(line).map_err(|_| ClientError::Usage("it is no text".to_owned()))
        }
        _ => Err(ClientError::Usage(format!("no {question} was typed"))),
    }
}

/// The terminal as it is while something is typed unseen; as it was, afterwards.
struct Unseen {
    before: Termios,
}

impl Unseen {
    fn set(before: Termios, unseen: &Termios) -> io::Result<Self> {
        tcsetattr(io::stdin(), OptionalActions::Flush, unseen)?;
        Ok(Self { before })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // Nothing better can be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

/// Asks for a yes to what cannot be undone. Without a terminal only `--yes` says it.
pub(crate) fn confirm(yes: bool, what: &str) -> Result<(), ClientError> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(ClientError::Usage(format!(
            "{what} cannot be undone: --yes says that you mean it"
        )));
    }
    let fault = |error: io::Error| ClientError::file("the terminal")(error);
    let mut err = io::stderr();
    write!(err, "{what} cannot be undone. Type yes: ").and_then(|()| err.flush()).map_err(fault)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(fault)?;
    if line.trim() == "yes" {
        Ok(())
    } else {
        Err(ClientError::Usage("nothing was done".to_owned()))
    }
}
