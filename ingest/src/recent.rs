//! What was written recently, to notice ids that come again.

/// Places in the table; 1 MiB in all.
const SLOTS: usize = 1 << 16;

/// How a row relates to the last one of the same tenant and producer's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// None is known.
    New,
    /// It had the same content: a redelivery, the same row.
    Same,
    /// It had other content: two rows under one id.
    Conflict,
}

/// A direct-mapped table of the latest ids: constant memory and time; an id that shares its place
/// with a later one is forgotten, so what it counts is a lower bound.
#[derive(Debug)]
pub struct Recent {
    slots: Vec<(u64, u64)>,
}

impl Default for Recent {
    fn default() -> Self {
        Self { slots: vec![(0, 0); SLOTS] }
    }
}

impl Recent {
    /// Remembers a row; `identity` 0 stands for no id.
    pub fn note(&mut self, identity: u64, content: u64) -> Seen {
        if identity == 0 {
            return Seen::New;
        }
        let slot = &mut self.slots[(identity as usize) & (SLOTS - 1)];
        let before = std::mem::replace(slot, (identity, content));
        match before {
            (known, same) if known == identity && same == content => Seen::Same,
            (known, _) if known == identity => Seen::Conflict,
            _ => Seen::New,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_comes_again_is_told_by_its_content() {
        let mut recent = Recent::default();
        assert_eq!(recent.note(7, 1), Seen::New);
        assert_eq!(recent.note(7, 1), Seen::Same);
        assert_eq!(recent.note(7, 2), Seen::Conflict);
        assert_eq!(recent.note(7 + SLOTS as u64, 2), Seen::New, "took the place");
        assert_eq!(recent.note(7, 2), Seen::New, "forgotten");
        assert_eq!([recent.note(0, 1), recent.note(0, 1)], [Seen::New; 2], "no id, no conflict");
    }
}
