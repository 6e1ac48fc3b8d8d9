-- For each text the text of the same day that means most nearly the same. Vectors have length one, so that their inner
-- product is the cosine of the angle between them.
SELECT
  s.doc_date,
  s.module,
  s.object,
  arg_max(o.module, array_inner_product(s.embedding, o.embedding)) AS closest_module,
  arg_max(o.object, array_inner_product(s.embedding, o.embedding)) AS closest_object,
  max(array_inner_product(s.embedding, o.embedding)) AS similarity
FROM scores s
JOIN scores o ON (s.module, s.object) <> (o.module, o.object)
GROUP BY s.doc_date, s.module, s.object
