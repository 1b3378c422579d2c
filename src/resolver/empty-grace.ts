// How long an empty answer is not believed after one that was not empty. Whoever waits it out does so by itself.

/**
 * The grace in milliseconds. An agent that was wiped, or a token that lost its rights, also answers with nothing; this is longer than an
 * agent that restarted needs to hear from all its services.
 */
export const emptyGraceMs = 90_000;
