//! Values of a metric's label as an enum: each is written once, and all of them are known before they happen.

/// Declares an enum whose variants are the values of a label, with `ALL` of them and `as_str`.
///
/// ```
/// service_kit::labels! {
///     /// How it ended.
///     pub enum Ended {
///         /// As it should.
///         Ok => "ok",
///         /// It did not.
///         Failed => "failed",
///     }
/// }
/// assert_eq!(Ended::ALL.map(Ended::as_str), ["ok", "failed"]);
/// ```
#[macro_export]
macro_rules! labels {
    ($(#[$of:meta])* $visible:vis enum $name:ident {
        $($(#[$meta:meta])* $variant:ident => $value:literal),+ $(,)?
    }) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $visible enum $name {
            $($(#[$meta])* $variant),+
        }

        impl $name {
            /// Every one.
            $visible const ALL: [Self; [$($value),+].len()] = [$(Self::$variant),+];

            /// The label's value.
            #[must_use]
            $visible fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $value),+
                }
            }
        }
    };
}
