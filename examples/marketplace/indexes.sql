-- Made after the rows are in: one sort instead of a million insertions.
CREATE UNIQUE INDEX users_email ON users (email);
CREATE INDEX auctions_created_at_status ON auctions (created_at, status);
ALTER TABLE bids ADD PRIMARY KEY (id);
CREATE INDEX bids_auction_id_created_at ON bids (auction_id, created_at);
CREATE INDEX bids_user_id_created_at ON bids (user_id, created_at);
CREATE INDEX payments_status_created_at ON payments (status, created_at);
CREATE INDEX payments_auction_id ON payments (auction_id);
ALTER TABLE auctions ADD FOREIGN KEY (seller_id) REFERENCES users;
ALTER TABLE bids ADD FOREIGN KEY (auction_id) REFERENCES auctions;
ALTER TABLE bids ADD FOREIGN KEY (user_id) REFERENCES users;
ALTER TABLE payments ADD FOREIGN KEY (auction_id) REFERENCES auctions;
ANALYZE;
