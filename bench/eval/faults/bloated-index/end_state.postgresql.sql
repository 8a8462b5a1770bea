SELECT avg_leaf_density > 60 FROM pgstatindex('orders_n');
