// Package guard asks an external classifier about the texts of a request.
//
//	texts ─▶ judged harmless before? ─▶ skipped
//	            └ no ─▶ pieces ─▶ batches ─▶ breaker ─▶ POST ─▶ score ≥ threshold: blocked
//	                                                    └─▶ anything else than a score: an error
//
// The contract: the guard is sent {"messages":["text","text"]} and answers 200
// with {"score":0.87,"reason":"why"}, the score from 0 (harmless) to 1.
//
// What cannot be judged is blocked, unless the configuration says to let it
// pass: a guard that fails open is one that an attacker makes fail.
package guard
